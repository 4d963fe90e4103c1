//! How Go's `encoding/json` treats the fields of a struct.
//!
//! The values of these types are the generated tables in `template_fields.rs`.

/// One member of a JSON object, as a Go struct declares it.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether Go tells "absent" from "empty": a pointer to `""` is written.
    pub(super) pointer: bool,
    /// Whether Go leaves the member out when it is empty (`omitempty`).
    pub(super) omit: bool,
}

/// What a member holds, as far as it changes the JSON.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Flag,
    Int32,
    Int64,
    /// `resource.Quantity`, which rewrites "1024Mi" as "1Gi".
    Quantity,
    /// `metav1.Time`, written in UTC and whole seconds.
    Time,
    IntOrString,
    /// Any JSON, kept but for its key order and number spelling.
    Raw,
    Struct(&'static [Field]),
    List(&'static Kind),
    Map(&'static Kind),
}

impl Field {
    pub(super) const fn new(name: &'static str, kind: Kind) -> Field {
        Field { name, kind, pointer: false, omit: false }
    }

    pub(super) const fn pointer(self) -> Field {
        Field { pointer: true, ..self }
    }

    pub(super) const fn omit(self) -> Field {
        Field { omit: true, ..self }
    }
}
