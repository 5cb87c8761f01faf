//! JSON of a token, read strictly: a name given twice is refused, since two readers could take
//! different ones; depth and number of members are bounded before anything is kept.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::identity::token::Malformed;
use crate::limits::{TOKEN_DEPTH_MAX, TOKEN_MEMBERS_MAX};

#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
}

/// Reads one JSON object; nothing may follow it.
pub fn object(text: &[u8]) -> Result<BTreeMap<String, Json>, Malformed> {
    let budget = Budget { members: Cell::new(TOKEN_MEMBERS_MAX), fault: Cell::new(None) };
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = Seed { budget: &budget, depth: TOKEN_DEPTH_MAX }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    match read {
        Ok(Json::Map(map)) => Ok(map),
        Ok(Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_)) => {
            Err(Malformed::NotAnObject)
        }
        Err(_) => Err(budget.fault.get().unwrap_or(Malformed::NotJson)),
    }
}

struct Budget {
    members: Cell<usize>,
    /// Why reading stopped, where the stop was ours.
    fault: Cell<Option<Malformed>>,
}

impl Budget {
    fn fail<E: Error>(&self, fault: Malformed) -> E {
        self.fault.set(Some(fault));
        E::custom(fault)
    }

    fn spend<E: Error>(&self) -> Result<(), E> {
        match self.members.get().checked_sub(1) {
            Some(left) => {
                self.members.set(left);
                Ok(())
            }
            None => Err(self.fail(Malformed::TooManyMembers)),
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl Seed<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(self.budget.fail(Malformed::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let seed = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(seed)? {
            self.budget.spend()?;
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let seed = self.deeper()?;
        let mut map = BTreeMap::new();
        while let Some(name) = members.next_key::<String>()? {
            self.budget.spend()?;
            let value = members.next_value_seed(seed)?;
            if map.insert(name, value).is_some() {
                return Err(self.budget.fail(Malformed::DuplicateName));
            }
        }
        Ok(Json::Map(map))
    }
}
