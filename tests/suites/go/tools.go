// Package suites keeps what the suites in Go are run with.
package suites

import _ "github.com/Shopify/toxiproxy/v2"
