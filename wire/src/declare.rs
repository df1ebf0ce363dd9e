//! The macro behind [`crate::messages`].
//!
//! ```text
//! request NameRequest -> NameResponse = API KEY, [VERSIONS], flexible [VERSIONS] {
//!     field: Type, [VERSIONS];                                  // [4], [4-10] or [4+]
//!     other: Option<String>, [2+], null [3+], tag 0 [3+], default -1;
//! }
//! response NameResponse = API KEY, [VERSIONS], flexible [VERSIONS] { .. }
//! struct Part { .. }                                            // its versions are those of the message
//! ```
//!
//! Fields stand in the order in which they travel. A field that a version lacks decodes as its default and is
//! left out when encoding. `Option` types default to `None`.

macro_rules! versions {
    () => {
        $crate::declaration::Versions::NONE
    };
    ($only:literal) => {
        $crate::declaration::Versions::range($only, $only)
    };
    ($min:literal +) => {
        $crate::declaration::Versions::from($min)
    };
    ($min:literal - $max:literal) => {
        $crate::declaration::Versions::range($min, $max)
    };
}

macro_rules! field_default {
    ($type:ty,) => {
        <$type as Default>::default()
    };
    ($type:ty, $default:expr) => {
        $default
    };
}

macro_rules! field_tag {
    () => { None };
    ($tag:literal $($versions:tt)+) => { Some(($tag, versions!($($versions)+))) };
}

macro_rules! declare {
    () => {};
    (
        $(#[$meta:meta])*
        request $name:ident -> $response:ident = $key:literal, [$($versions:tt)+], flexible [$($flexible:tt)*]
        { $($fields:tt)* }
        $($rest:tt)*
    ) => {
        declare_struct! { $(#[$meta])* $name { $($fields)* } }
        declare_message! { $name = $key, [$($versions)+], [$($flexible)*] }
        impl $crate::Request for $name {
            type Response = $response;
        }
        declare! { $($rest)* }
    };
    (
        $(#[$meta:meta])*
        response $name:ident = $key:literal, [$($versions:tt)+], flexible [$($flexible:tt)*]
        { $($fields:tt)* }
        $($rest:tt)*
    ) => {
        declare_struct! { $(#[$meta])* $name { $($fields)* } }
        declare_message! { $name = $key, [$($versions)+], [$($flexible)*] }
        declare! { $($rest)* }
    };
    ($(#[$meta:meta])* struct $name:ident { $($fields:tt)* } $($rest:tt)*) => {
        declare_struct! { $(#[$meta])* $name { $($fields)* } }
        impl $crate::value::Struct for $name {}
        declare! { $($rest)* }
    };
}

macro_rules! declare_message {
    ($name:ident = $key:literal, [$($versions:tt)+], [$($flexible:tt)*]) => {
        impl $crate::Message for $name {
            const DECLARATION: &'static $crate::declaration::Declaration = &$crate::declaration::Declaration {
                name: stringify!($name),
                api_key: $key,
                versions: versions!($($versions)+),
                flexible: versions!($($flexible)*),
                kind: <$name as $crate::Value>::KIND,
            };
        }
    };
}

macro_rules! declare_struct {
    ($(#[$meta:meta])* $name:ident {$(
        $(#[$field_meta:meta])*
        $field:ident: $type:ty, [$($present:tt)+]
            $(, null [$($null:tt)+])?
            $(, tag $tag:literal [$($tagged:tt)+])?
            $(, default $default:expr)?;
    )*}) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: field_default!($type, $($default)?),)* }
            }
        }

        // What is known of each field, under the field's own name; private, and evaluated by the compiler.
        #[allow(non_upper_case_globals)]
        impl $name {
            $(const $field: $crate::declaration::Field = $crate::declaration::Field::new(
                stringify!($field),
                <$type as $crate::Value>::KIND,
                versions!($($present)+),
                versions!($($($null)+)?),
                field_tag!($($tag $($tagged)+)?),
                stringify!($($default)?),
            );)*
        }

        impl $crate::Value for $name {
            const KIND: $crate::declaration::Kind = $crate::declaration::Kind::Struct(&[$($name::$field),*]);

            fn decode(decoder: &mut $crate::Decoder<'_>, _nullable: bool) -> Result<Self, $crate::DecodeError> {
                let version = decoder.version();
                let mut value = $name::default();
                $(if $name::$field.in_line(version) {
                    value.$field = $crate::Value::decode(decoder, $name::$field.nullable.contains(version))
                        .map_err(|error: $crate::DecodeError| error.within(stringify!($field)))?;
                })*
                decoder.tagged_fields(|_decoder, _tag| {
                    $(if $name::$field.under_tag(_tag, version) {
                        value.$field = $crate::Value::decode(_decoder, $name::$field.nullable.contains(version))?;
                        return Ok(true);
                    })*
                    Ok(false)
                })?;
                Ok(value)
            }

            fn encode(&self, encoder: &mut $crate::Encoder, _nullable: bool) {
                let version = encoder.version();
                $(if $name::$field.in_line(version) {
                    self.$field.encode(encoder, $name::$field.nullable.contains(version));
                })*
                if encoder.is_flexible() {
                    // A tagged field that has its default value is not sent.
                    let mut _count = 0;
                    $(if $name::$field.tagged(version) && self.$field != field_default!($type, $($default)?) {
                        _count += 1;
                    })*
                    encoder.tagged_field_count(_count);
                    $(if $name::$field.tagged(version) && self.$field != field_default!($type, $($default)?) {
                        let nullable = $name::$field.nullable.contains(version);
                        encoder.tagged_field($name::$field.tag, |encoder| self.$field.encode(encoder, nullable));
                    })*
                }
            }

            #[cfg(any(test, feature = "sample"))]
            fn sample(sampler: &mut $crate::sample::Sampler<'_>, _nullable: bool) -> Self {
                let _version = sampler.version();
                let mut value = $name::default();
                $(if $name::$field.versions.contains(_version) {
                    value.$field = $crate::Value::sample(sampler, $name::$field.nullable.contains(_version));
                })*
                value
            }
        }
    };
}
