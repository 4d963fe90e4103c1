//! Fields, indexes and slices, and what they yield.

use super::super::text;
use super::super::token::{Kind, Token};
use super::super::types::{Map, Type};
use super::{Checker, Parsed, Unparsed};

/// What is asked for: its type, and its name where that is written there.
struct Key<'n> {
    kind: Type,
    name: Option<&'n str>,
}

impl Checker<'_, '_> {
    /// What stands behind an operand.
    pub(super) fn postfixes(&mut self, operand: Type) -> Parsed {
        let mut made = operand;
        loop {
            let is_optional = self.takes("?.");
            if self.takes("[") {
                made = self.bracketed(&made)?;
            } else if is_optional || self.takes(".") {
                let name = self.expect_name()?;
                if self.is_at("(") {
                    return Err(Unparsed);
                }
                made = self.member(&made, &Key { kind: Type::Text, name: Some(name) });
            } else {
                return Ok(made);
            }
        }
    }

    fn bracketed(&mut self, base: &Type) -> Parsed {
        if self.is_at(":") {
            return self.slice(base, None);
        }
        let first = self.at;
        let kind = self.expression(0)?;
        if self.is_at(":") {
            return self.slice(base, Some(&kind));
        }
        let name = match &self.tokens[first..self.at] {
            [Token { kind: Kind::Text, text: written }] => text::said(written).ok(),
            _ => None,
        };
        self.expect("]")?;
        Ok(self.member(base, &Key { kind, name: name.as_deref() }))
    }

    fn member(&mut self, base: &Type, key: &Key<'_>) -> Type {
        match (base, key.name) {
            (Type::Unknown | Type::Any, _) => Type::Unknown,
            (Type::Nil, Some(name)) => self.refuse(format!("type nil has no field {name}")),
            // The names of their methods begin so; calls of them are refused elsewhere.
            (Type::Time | Type::Duration, Some(name))
                if name.starts_with(|c: char| c.is_ascii_uppercase()) =>
            {
                Type::Unknown
            }
            (Type::Map(map), _) => self.value_of(*map, &key.kind),
            (Type::List(_), _) if key.kind.is_integer() || key.kind.is_open() => base.item(),
            (Type::List(_), _) => self.refuse(format!(
                "array elements can only be selected using an integer (got {})",
                key.kind.name()
            )),
            (Type::Record, Some(name)) if field_of_record(name).is_some() => {
                field_of_record(name).unwrap_or(Type::Unknown)
            }
            (Type::Record, None) if key.kind == Type::Text || key.kind.is_open() => Type::Unknown,
            (_, Some(name)) => self.refuse(format!("type {} has no field {name}", base.name())),
            (_, None) => self.refuse(format!("type {}[{}] is undefined", base.name(), key.kind.name())),
        }
    }

    fn value_of(&mut self, map: Map, key: &Type) -> Type {
        let takes_texts = matches!(map, Map::Fields | Map::Row);
        let wanted = if takes_texts { Type::Text } else { Type::Any };
        if key.is_open() || key.is_assignable_to(&wanted) {
            return Type::Map(map).item();
        }
        let map = Type::Map(map).name();
        self.refuse(format!("cannot use {} to get an element from {map}", key.name()))
    }

    /// `a[b:c]` from its colon on. Nobody looks at the bounds where nothing is known of what is cut.
    fn slice(&mut self, base: &Type, from: Option<&Type>) -> Parsed {
        let before = self.fault.clone();
        self.at += 1;
        let to = if self.is_at("]") { None } else { Some(self.expression(0)?) };
        self.expect("]")?;
        if base.is_open() {
            self.fault = before;
            return Ok(Type::Unknown);
        }
        if !base.is_list() && *base != Type::Text {
            return Ok(self.refuse(format!("cannot slice {}", base.name())));
        }
        let is_wrong = |bound: &&Type| !bound.is_integer() && !bound.is_open();
        if let Some(bound) = from.into_iter().chain(&to).find(is_wrong) {
            let why = format!("non-integer slice index {}", bound.name());
            self.refuse(why);
        }
        Ok(base.clone())
    }

    /// `get(a, b)`.
    pub(super) fn got(&mut self, base: &Type, key: &Type) -> Type {
        if base.is_open() {
            Type::Unknown
        } else if let Type::Map(map) = base {
            self.value_of(*map, key)
        } else if !base.is_list() {
            self.refuse(format!("type {} does not support indexing", base.name()))
        } else if key.is_integer() || key.is_open() {
            base.item()
        } else {
            self.refuse(format!("non-integer slice index {}", key.name()))
        }
    }
}

/// The fields of one of CloudWatch's results; of most the type says little.
fn field_of_record(name: &str) -> Option<Type> {
    match name {
        "Values" => Some(Type::floats()),
        "Id" | "Label" | "Messages" | "StatusCode" | "Timestamps" => Some(Type::Unknown),
        _ => None,
    }
}
