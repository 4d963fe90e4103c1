//! Calls with a predicate about the items of a list.

use super::super::types::{Map, Type};
use super::{Checker, Parsed};

/// What a predicate speaks of.
pub(super) struct Scope {
    list: Type,
    has_index: bool,
    has_total: bool,
}

impl Checker<'_, '_> {
    /// `#`, `#index` and `#acc`, by what follows the mark.
    pub(super) fn pointer(&mut self, name: &str) -> Type {
        let Some(scope) = self.scopes.last() else { return Type::Unknown };
        match name {
            "" => scope.list.item(),
            "index" if scope.has_index => Type::Int,
            "acc" if scope.has_total => Type::Unknown,
            _ => self.refuse(format!("unknown pointer #{name}")),
        }
    }

    /// A call from its opening bracket on.
    pub(super) fn closure(&mut self, name: &str, piped: Option<Type>) -> Parsed {
        self.expect("(")?;
        let is_piped = piped.is_some();
        let list = match piped {
            Some(list) => list,
            None => self.expression(0)?,
        };
        if !list.is_list() && !list.is_open() {
            self.refuse(format!("builtin {name} takes only array (got {})", list.name()));
        }
        let may_be_left_out = matches!(name, "count" | "sum");
        let predicate = if may_be_left_out && self.is_at(")") {
            None
        } else {
            if !is_piped {
                self.expect(",")?;
            }
            Some(self.predicate(name, &list)?)
        };
        if matches!(name, "sortBy" | "reduce") && self.takes(",") {
            self.expression(0)?;
        }
        self.takes(",");
        self.expect(")")?;
        Ok(self.made_of(name, &list, predicate))
    }

    /// What a predicate answers.
    fn predicate(&mut self, name: &str, list: &Type) -> Parsed {
        let list = if list.is_list() { list.clone() } else { Type::Unknown };
        let has_total = name == "reduce";
        self.scopes.push(Scope { list, has_index: has_total || name == "map", has_total });
        let answer = if self.is_at("{") { self.block() } else { self.expression(0) };
        self.scopes.pop();
        answer
    }

    fn made_of(&mut self, name: &str, list: &Type, predicate: Option<Type>) -> Type {
        let Some(answer) = predicate else {
            return if name == "count" { Type::Int } else { list.item() };
        };
        if answer == Type::Nil {
            return self.refuse("predicate should has one input and one output param".to_owned());
        }
        let is_question = !matches!(name, "map" | "groupBy" | "sortBy" | "sum" | "reduce");
        if is_question && answer != Type::Bool && !answer.is_open() {
            return self.refuse(format!("predicate should return boolean (got {})", answer.name()));
        }
        match name {
            "all" | "any" | "none" | "one" => Type::Bool,
            "count" | "findIndex" | "findLastIndex" => Type::Int,
            "filter" if !list.is_list() => Type::any_list(),
            "filter" => Type::list_of(list.item()),
            "find" | "findLast" => list.item(),
            "groupBy" => Type::Map(Map::Groups),
            "map" => Type::list_of(answer),
            "reduce" => answer,
            "sortBy" => list.clone(),
            "sum" => answer.by_name(),
            _ => Type::Unknown,
        }
    }
}
