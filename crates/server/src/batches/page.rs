//! Lists, a page at a time.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::Serialize;

use crate::fault::Fault;
use crate::json;

/// The longest page of files and of batches, as OpenAI has them.
pub(crate) const MOST_FILES: usize = 10_000;
pub(crate) const MOST_BATCHES: usize = 100;

/// What of a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) after: Option<String>,
    pub(super) limit: usize,
    /// The oldest first.
    pub(super) ascending: bool,
    pub(super) purpose: Option<String>,
}

impl Page {
    /// From the query of the address; fields of others are not looked at.
    pub(super) fn read(query: Option<&str>, limit: usize, most: usize) -> Result<Self, Fault> {
        let mut page = Self { after: None, limit, ascending: false, purpose: None };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "after" => page.after = Some(value.into_owned()),
                "limit" => {
                    let number = value.parse().ok().filter(|number| (1..=most).contains(number));
                    let wrong =
                        || Fault::invalid(format!("`limit` is not a number from 1 to {most}")).param("limit");
                    page.limit = number.ok_or_else(wrong)?;
                }
                "order" => {
                    page.ascending = match &*value {
                        "asc" => true,
                        "desc" => false,
                        _ => return Err(Fault::invalid("`order` is `asc` or `desc`").param("order")),
                    }
                }
                "purpose" => page.purpose = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(page)
    }

    /// That page of what is kept: the newest first, unless it says otherwise. `after` need not be there any more.
    pub(super) fn of<'a, T, S: Serialize + 'a>(
        &self,
        all: &'a BTreeMap<String, T>,
        shown: impl Fn(&'a T) -> Option<&'a S>,
    ) -> Result<Vec<u8>, Fault> {
        let after = self.after.as_ref();
        let beyond: Box<dyn Iterator<Item = (&'a String, &'a T)>> = match (self.ascending, after) {
            (true, None) => Box::new(all.iter()),
            (true, Some(after)) => Box::new(all.range((Bound::Excluded(after.clone()), Bound::Unbounded))),
            (false, None) => Box::new(all.iter().rev()),
            (false, Some(after)) => Box::new(all.range(..after.clone()).rev()),
        };
        let mut beyond = beyond.filter_map(|(id, one)| Some((id, shown(one)?)));
        let page: Vec<(&String, &S)> = beyond.by_ref().take(self.limit).collect();
        json::write(&List {
            object: "list",
            first_id: page.first().map(|(id, _)| *id),
            last_id: page.last().map(|(id, _)| *id),
            has_more: beyond.next().is_some(),
            data: page.into_iter().map(|(_, one)| one).collect(),
        })
    }
}

#[derive(Serialize)]
struct List<'a, S> {
    object: &'static str,
    data: Vec<&'a S>,
    first_id: Option<&'a String>,
    last_id: Option<&'a String>,
    has_more: bool,
}
