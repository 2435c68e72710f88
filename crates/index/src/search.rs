//! Every vector is compared with the queries; the best are kept.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use threads::Team;

use crate::collection::Collection;
use crate::error::Error;
use crate::filter::{Filter, Sieve};
use crate::precision::Precision;
use crate::scan::{Query, Rows, Scratch};
use crate::top::{Hit, Top};

/// Bytes of vectors that all queries pass over before the next are read: they stay in the second cache.
const BLOCK_BYTES: usize = 1 << 17;
/// Parts a thread, so that a slow one has less to do.
const PARTS: usize = 8;

/// What is searched for, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What the scan reads.
    pub precision: Precision,
    /// Hits a query.
    pub top: usize,
    /// Candidates of the scan that are scored again with the finest of f32 and f16 that is kept; 0 is none. At
    /// least [`top`](Self::top).
    pub rescore: usize,
    /// Only rows that pass all of these.
    pub filters: Vec<Filter>,
}

impl Plan {
    /// The 10 best, as the scan sees them.
    pub fn new(precision: Precision) -> Self {
        Self { precision, top: 10, rescore: 0, filters: Vec::new() }
    }
}

impl Collection {
    /// The usual way to search for so many: where f32 or f16 is kept too, coarse scans are rescored, of int8 four
    /// candidates a hit and of binary twenty, and never fewer than 40 and 200.
    ///
    /// # Errors
    /// If the vectors are not kept so.
    pub fn plan(&self, precision: Precision, top: usize) -> Result<Plan, Error> {
        self.check_kept(precision)?;
        let can_rescore = self.precisions().iter().any(|kept| kept.is_float());
        let rescore = match precision {
            Precision::Int8 if can_rescore => top.saturating_mul(4).max(40),
            Precision::Binary if can_rescore => top.saturating_mul(20).max(200),
            _ => 0,
        };
        Ok(Plan { top, rescore, ..Plan::new(precision) })
    }

    /// The best rows for each query, best first; among equal scores the first rows. The same at any number of
    /// threads.
    ///
    /// Scores are dot products: of f32 and f16 those of the values, of int8 those of the quantised query and row, of
    /// binary the cosine of the signs.
    ///
    /// # Errors
    /// If a query is not of the collection's dimensions or not finite, or the plan asks for what is not kept.
    pub fn search(&self, team: &Team, queries: &[Vec<f32>], plan: &Plan) -> Result<Vec<Vec<Hit>>, Error> {
        let dimensions = self.dimensions();
        for query in queries {
            if query.len() != dimensions {
                return Err(Error::usage(format_args!(
                    "the query has {} values, and the vectors of the collection {dimensions}",
                    query.len()
                )));
            }
            if !query.iter().all(|value| value.is_finite()) {
                return Err(Error::usage("the query has values that are no finite numbers"));
            }
        }
        let rows = self.vectors(plan.precision)?;
        let finest = match plan.rescore {
            0 => None,
            _ => Some(self.finest()?),
        };
        let sieves =
            plan.filters.iter().map(|filter| self.sieve(filter)).collect::<Result<Vec<_>, Error>>()?;
        let most = if plan.rescore > 0 { plan.rescore.max(plan.top) } else { plan.top };
        let prepared: Vec<Query> = queries.iter().map(|query| Query::new(query, plan.precision)).collect();
        let found = self.scan(team, rows, &prepared, &sieves, plan.precision, most.min(self.rows()));
        Ok(found
            .into_iter()
            .zip(queries)
            .map(|(top, query)| match finest {
                None => top.into_hits(),
                Some(finest) => self.rescored(finest, query, top, plan.top),
            })
            .collect())
    }

    /// What candidates are scored again with.
    fn finest(&self) -> Result<Rows<'_>, Error> {
        match self.precisions().first() {
            Some(finest) if finest.is_float() => self.vectors(*finest),
            _ => Err(Error::usage(format_args!(
                "{}: has neither f32 nor f16 to rescore with; search without (--rescore 0), or build it with one",
                self.path().display()
            ))),
        }
    }

    fn scan(
        &self,
        team: &Team,
        vectors: Rows<'_>,
        queries: &[Query],
        sieves: &[Sieve<'_>],
        precision: Precision,
        most: usize,
    ) -> Vec<Top> {
        let rows = self.rows();
        let block = (BLOCK_BYTES / precision.bytes(self.dimensions())).clamp(1, 4096);
        let blocks = rows.div_ceil(block);
        let parts = blocks.min(team.threads() * PARTS);
        let found = Mutex::new(vec![Top::new(most); queries.len()]);
        if most == 0 || queries.is_empty() {
            return found.into_inner().unwrap_or_else(PoisonError::into_inner);
        }
        team.run(parts, &|part| {
            let mut tops = vec![Top::new(most); queries.len()];
            let (mut scratch, mut scores) = (Scratch::default(), vec![0.0f32; block]);
            let mut selected = vec![true; block];
            for number in part * blocks / parts..(part + 1) * blocks / parts {
                let within = number * block..((number + 1) * block).min(rows);
                selected.fill(true);
                for sieve in sieves {
                    sieve.apply(within.clone(), &mut selected[..within.len()]);
                }
                for run in Runs::of(&selected[..within.len()]) {
                    let run = within.start + run.start..within.start + run.end;
                    let scores = &mut scores[..run.len()];
                    for (query, top) in queries.iter().zip(&mut tops) {
                        vectors.scores(self.kernels, query, run.clone(), &mut scratch, scores);
                        for (row, score) in run.clone().zip(scores.iter()) {
                            top.push(Hit { row, score: *score });
                        }
                    }
                }
            }
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            for (found, top) in found.iter_mut().zip(tops) {
                found.merge(top);
            }
        });
        found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The candidates' best by `finest`.
    fn rescored(&self, finest: Rows<'_>, query: &[f32], candidates: Top, most: usize) -> Vec<Hit> {
        // f32 and f16 take the same form of query.
        let query = Query::new(query, Precision::F32);
        let (mut top, mut scratch) = (Top::new(most), Scratch::default());
        for Hit { row, .. } in candidates.into_hits() {
            let mut score = [0.0];
            finest.scores(self.kernels, &query, row..row + 1, &mut scratch, &mut score);
            top.push(Hit { row, score: score[0] });
        }
        top.into_hits()
    }
}

/// Runs of selected rows.
struct Runs<'a> {
    selected: &'a [bool],
    at: usize,
}

impl<'a> Runs<'a> {
    fn of(selected: &'a [bool]) -> Self {
        Self { selected, at: 0 }
    }
}

impl Iterator for Runs<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.at + self.selected[self.at..].iter().position(|selected| *selected)?;
        let length = self.selected[start..].iter().position(|selected| !selected);
        self.at = length.map_or(self.selected.len(), |length| start + length);
        Some(start..self.at)
    }
}
