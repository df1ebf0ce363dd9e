// Package steps is what the programs in Go share: how a step is reported, and the story of a group with two members.
package steps

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Codecs are all that Kafka has.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// Count is how many records a round trip writes.
const Count = 60

// Seconds is how long one condition is waited for.
const Seconds = 40

// Program is one run: `BOOTSTRAP PREFIX [PAST_TOPIC PAST_COUNT]`.
type Program struct {
	Bootstrap string
	prefix    string
	PastTopic string
	PastCount int
}

// Start reads the command line and says the version of the module that is tested.
func Start(module string) *Program {
	program := &Program{Bootstrap: os.Args[1], prefix: os.Args[2]}
	if len(os.Args) > 4 {
		program.PastTopic = os.Args[3]
		program.PastCount, _ = strconv.Atoi(os.Args[4])
	}
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, used := range info.Deps {
			if used.Path == module {
				version = strings.TrimPrefix(used.Version, "v")
			}
		}
	}
	fmt.Printf("version\t%s\n", version)
	return program
}

// Topic is a name that no other client uses.
func (p *Program) Topic(name string) string { return p.prefix + "-" + name }

// NotApplicable is said of what a client does not have.
func (p *Program) NotApplicable(step, why string) {
	if asked(step) {
		fmt.Printf("n/a\t%s\t%s\n", step, why)
	}
}

func asked(step string) bool {
	contains := func(part string) bool { return strings.Contains(step, part) }
	return slices.ContainsFunc(strings.Split(os.Getenv("MATRIX_STEPS"), ","), contains)
}

// Step does one step, if it is asked for, and prints how it ended.
func (p *Program) Step(name string, work func()) {
	if !asked(name) {
		return
	}
	defer func() {
		if failed := recover(); failed != nil {
			fmt.Printf("fail\t%s\t%s\n", name, strings.Join(strings.Fields(fmt.Sprint(failed)), " "))
		}
	}()
	work()
	fmt.Printf("ok\t%s\t\n", name)
}

// Must ends the step when there is an error.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// Check ends the step when something does not hold.
func Check(holds bool, format string, values ...any) {
	if !holds {
		panic(fmt.Sprintf(format, values...))
	}
}

// Until calls a condition, which waits for the network itself, until it is true.
func Until(what string, condition func() bool) {
	deadline := time.Now().Add(Seconds * time.Second)
	for !condition() {
		Check(time.Now().Before(deadline), "waited %d s for %s", Seconds, what)
	}
}

// Values are what is written: the same every time, and worth compressing.
func Values(count int, kind string) []string {
	made := make([]string, count)
	for number := range made {
		made[number] = fmt.Sprintf("%s-%06d-%s", kind, number, strings.Repeat("x", 100))
	}
	return made
}

// Same ends the step at the first difference between what was read and what was written.
func Same(found, expected []string) {
	for number := range min(len(found), len(expected)) {
		Check(found[number] == expected[number], "record %d: read %.40q, written was %.40q", number, found[number], expected[number])
	}
	Check(len(found) == len(expected), "%d records read, %d written", len(found), len(expected))
}
