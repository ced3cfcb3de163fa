//! The tree of a parsed filter: what matcher, printer and search plans walk over.

use ipnet::IpNet;

use super::fields::Field;
use super::kinds::ObjectTest;
use super::pattern::Pattern;
use super::time::{DurationRange, TimeRange};
use crate::event::Level;

/// A condition on one event.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Expression {
    /// Every event.
    #[default]
    All,
    /// All of them hold; at least two, none of which is an `And`.
    And(Vec<Expression>),
    /// At least one holds; at least two, none of which is an `Or`.
    Or(Vec<Expression>),
    /// It does not hold. Plain two-valued: what is false on a missing field becomes true.
    Not(Box<Expression>),
    /// The field is as the test says.
    Clause(Clause),
    /// Some scalar of the event, or key inside a body, annotation or extra, has this in it.
    Text(Pattern),
}

/// A field and what it must be. False where the field is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// Which field.
    pub field: Field,
    /// What it must be.
    pub values: Values,
}

/// A value, or several joined by `and`, `or`, `not`. Each test looks for *any* element of a list field.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// One test.
    One(Test),
    /// All hold; at least two, none of which is an `And`.
    And(Vec<Values>),
    /// At least one holds; at least two, none of which is an `Or`.
    Or(Vec<Values>),
    /// The field is there, and the test does not hold.
    Not(Box<Values>),
}

/// A test of one value, by the field's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// The field is there: `f:*`.
    Present,
    /// Its text is so.
    Text(Pattern),
    /// A resource and its subresource: `resource:pods/exec`.
    ResourcePair(Box<(Pattern, Pattern)>),
    /// A level between these, both included.
    Levels(Level, Level),
    /// A number in this range.
    Int(IntRange),
    /// A moment in this range.
    Time(TimeRange),
    /// A duration in this range.
    Duration(DurationRange),
    /// An address in this network; IPv4 addresses mapped into IPv6 are IPv4 here.
    Ip(IpNet),
    /// This truth value.
    Bool(bool),
    /// This kind of object, name and subresource.
    Object(Box<ObjectTest>),
    /// A scalar inside a body.
    Json(JsonTest),
}

/// Whole numbers from `min` to `max`, both included; `None` is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntRange {
    /// The lowest.
    pub min: Option<i64>,
    /// The highest.
    pub max: Option<i64>,
}

impl IntRange {
    /// Whether `value` lies in it.
    pub fn contains(self, value: i64) -> bool {
        self.min.is_none_or(|min| min <= value) && self.max.is_none_or(|max| value <= max)
    }
}

/// A test of a scalar inside a body.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonTest {
    /// A string like the pattern; where `bare`, also the number, truth value or null spelled so.
    Scalar {
        /// For strings.
        pattern: Pattern,
        /// Written without quotes.
        bare: bool,
    },
    /// A number in this range, the bounds included where their flag says so.
    Number(NumberRange),
}

/// Numbers between two bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberRange {
    /// The lower bound.
    pub min: Option<NumberBound>,
    /// The upper bound.
    pub max: Option<NumberBound>,
}

/// One end of a [`NumberRange`].
#[derive(Clone, Debug, PartialEq)]
pub struct NumberBound {
    /// As written.
    pub text: String,
    /// Whether the bound itself belongs to the range.
    pub inclusive: bool,
}
