//! The types that Go's expr works out for the parts of an expression before anything runs.
//!
//! Source: `checker/nature` of github.com/expr-lang/expr 1.17.7. Only what conditions can name has a type here.

/// What is known of a value before it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::analysis) enum Type {
    /// Nothing, also not for Go.
    Unknown,
    /// Go's `interface {}`: what stands in JSON below the first level.
    Any,
    Nil,
    Bool,
    Int,
    /// What `asInt` makes; it goes with other numbers, and is of another kind in lists.
    Int64,
    Float,
    Text,
    Time,
    Duration,
    List(List),
    Map(Map),
    /// One of the results of CloudWatch.
    Record,
}

/// A list: what Go calls it, and what is known of its items. `filter` makes an `[]interface {}` of which more is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::analysis) struct List {
    name: &'static str,
    item: Box<Type>,
}

/// A map, by its name in Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::analysis) enum Map {
    /// Of JSON, or written out.
    Fields,
    /// A row of New Relic.
    Row,
    /// What `fromPairs` makes.
    Pairs,
    /// What `groupBy` makes.
    Groups,
}

const ANY_LIST: &str = "[]interface {}";

impl Type {
    /// A list as most functions make it.
    pub(in crate::analysis) fn list_of(item: Self) -> Self {
        Self::List(List { name: ANY_LIST, item: Box::new(item) })
    }

    pub(in crate::analysis) fn any_list() -> Self {
        Self::list_of(Self::Any)
    }

    pub(in crate::analysis) fn floats() -> Self {
        Self::List(List { name: "[]float64", item: Box::new(Self::Float) })
    }

    pub(super) fn texts() -> Self {
        Self::List(List { name: "[]string", item: Box::new(Self::Text) })
    }

    /// What no condition can have, and what `sort` names last.
    pub(super) fn ints() -> Self {
        Self::List(List { name: "[]int", item: Box::new(Self::Int) })
    }

    pub(in crate::analysis) fn records() -> Self {
        Self::List(List { name: "[]types.MetricDataResult", item: Box::new(Self::Record) })
    }

    pub(in crate::analysis) fn rows() -> Self {
        Self::List(List { name: "[]nrdb.NRDBResult", item: Box::new(Self::Map(Map::Row)) })
    }

    /// How Go's messages call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unknown | Self::Nil => "unknown",
            Self::Any => "interface {}",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Int64 => "int64",
            Self::Float => "float64",
            Self::Text => "string",
            Self::Time => "time.Time",
            Self::Duration => "time.Duration",
            Self::List(list) => list.name,
            Self::Map(Map::Fields) => "map[string]interface {}",
            Self::Map(Map::Row) => "nrdb.NRDBResult",
            Self::Map(Map::Pairs) => "map[interface {}]interface {}",
            Self::Map(Map::Groups) => "map[interface {}][]interface {}",
            Self::Record => "types.MetricDataResult",
        }
    }

    /// Go's kind: lists of items of one kind are lists of what the last item is.
    pub(super) fn is_of_kind(&self, other: &Self) -> bool {
        let is_long = |one: &Self| matches!(one, Self::Int64 | Self::Duration);
        let is_struct = |one: &Self| matches!(one, Self::Time | Self::Record);
        let has_none = |one: &Self| matches!(one, Self::Unknown | Self::Nil);
        std::mem::discriminant(self) == std::mem::discriminant(other)
            || [is_long, is_struct, has_none].iter().any(|is_one| is_one(self) && is_one(other))
    }

    /// Whether the checker of Go lets it pass for whatever is wanted.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Unknown | Self::Any)
    }

    pub(super) fn is_integer(&self) -> bool {
        matches!(self, Self::Int | Self::Int64)
    }

    pub(super) fn is_number(&self) -> bool {
        self.is_integer() || *self == Self::Float
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }

    /// Whether it is a vector of numbers, of which a single one may stand for itself.
    pub(in crate::analysis) fn is_samples(&self) -> bool {
        *self == Self::floats()
    }

    /// What the items of a list are, or the values of a map.
    pub(super) fn item(&self) -> Self {
        if let Self::List(list) = self {
            (*list.item).clone()
        } else if let Self::Map(map) = self {
            if *map == Map::Groups { Self::any_list() } else { Self::Any }
        } else {
            Self::Unknown
        }
    }

    /// The same for functions that see nothing but the name of a type.
    pub(super) fn item_by_name(&self) -> Self {
        if self.by_name() == Self::any_list() { Self::Any } else { self.item() }
    }

    /// What is left of it where nothing but the name of a type is handed on.
    pub(super) fn by_name(&self) -> Self {
        if *self == Self::Unknown {
            Self::Any
        } else if matches!(self, Self::List(list) if list.name == ANY_LIST) {
            Self::any_list()
        } else {
            self.clone()
        }
    }

    /// Whether a value of this type may stand where one of another is wanted.
    pub(super) fn is_assignable_to(&self, wanted: &Self) -> bool {
        let is_map_of_texts = |one: &Self| matches!(one, Self::Map(Map::Fields | Map::Row));
        match (self, wanted) {
            (Self::Nil, Self::Any | Self::List(_) | Self::Map(_)) => true,
            (Self::Nil | Self::Unknown, _) | (_, Self::Nil | Self::Unknown) => false,
            (_, Self::Any) => true,
            (Self::List(one), Self::List(other)) => one.name == other.name,
            (one, other) => one == other || is_map_of_texts(one) && is_map_of_texts(other),
        }
    }

    /// Whether `==` and `!=` may stand between two values.
    pub(super) fn is_comparable_to(&self, other: &Self) -> bool {
        let is_free = |one: &Self| one.is_open() || *one == Self::Nil;
        is_free(self)
            || is_free(other)
            || self.is_number() && other.is_number()
            || self.is_list() && other.is_list()
            || self.is_assignable_to(other)
    }
}
