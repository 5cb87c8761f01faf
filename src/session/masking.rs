//! Answers pass the masks: each piece is shown by the machine, gone through as its plan says, and
//! delivered as that leaves it. A plan is made from the facts of the statement that is answered.

use std::sync::Arc;

use crate::io::buf::Chunk;
use crate::judge::policy::Masks;
use crate::limits;
use crate::mask::catalogue::{Catalogue, Cell};
use crate::mask::cell::Keys;
use crate::mask::edit::Edits;
use crate::mask::guard::{Objection, objection};
use crate::mask::plan::Plan;
use crate::mask::reach::Reach;
use crate::model::facts::{Copy, CopyDirection, CopyFormat, Effects, Facts};
use crate::model::session::Leg;
use crate::model::time::Now;
use crate::record::RunKind;
use crate::scan::Hit;
use crate::session::close::End;
use crate::session::exchange::Exchanges;
use crate::session::relay::Next;
use crate::session::{Context, Output, Phase, Session};
use crate::wire::{Asked, Cause, Column, CopyForm, Fault, Machine, Rewritten, Shown};

/// What keeps protected values from one session's bot.
pub(super) struct Masking {
    masks: Arc<Masks>,
    keys: Arc<Keys>,
    /// Where the newest catalogue is found; `None` where no column is protected.
    catalogue: Option<Arc<Cell>>,
    /// Reused from answer to answer.
    hits: Vec<Hit>,
    /// Of the last result; the next one is often of the same statement.
    planned: Option<Planned>,
    /// Of the copy at hand.
    copying: Option<(u64, Plan)>,
    defined: Defined,
    /// What the transaction at hand, or the batch, has reached so far: some of it may fail only at its
    /// end.
    reached: Reach,
}

/// What the session has done to definitions that the catalogue does not show yet.
#[derive(Clone, Copy)]
enum Defined {
    Nothing,
    /// In a transaction that has not ended.
    Open,
    /// As the change of this number.
    Change {
        number: u64,
        until_ns: u64,
    },
}

struct Planned {
    facts: Option<Arc<Facts>>,
    columns: Arc<[Column]>,
    catalogue: Option<Arc<Catalogue>>,
    plan: Plan,
}

impl Planned {
    fn fits(
        &self,
        facts: Option<&Arc<Facts>>,
        columns: &Arc<[Column]>,
        catalogue: Option<&Arc<Catalogue>>,
    ) -> bool {
        same(self.facts.as_ref(), facts)
            && same(self.catalogue.as_ref(), catalogue)
            && (Arc::ptr_eq(&self.columns, columns) || self.columns == *columns)
    }
}

fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// What becomes of a piece of an answer.
struct Edited {
    /// So many of its bytes go on. The rest is past a limit, and offered to the machine anew.
    bytes: usize,
    /// What they become; `None` where they go on as they are.
    anew: Option<Vec<u8>>,
}

impl Masking {
    pub(super) fn new(masks: Arc<Masks>, keys: Arc<Keys>, catalogue: Option<Arc<Cell>>) -> Self {
        Self {
            masks,
            keys,
            catalogue,
            hits: Vec::new(),
            planned: None,
            copying: None,
            defined: Defined::Nothing,
            reached: Reach::Clean,
        }
    }

    /// What speaks against a statement for the sake of what is protected. `is_first`: nothing that
    /// came before it is still to end.
    pub(super) fn objection(
        &mut self,
        asked: &Asked,
        facts: &Facts,
        is_first: bool,
    ) -> Option<Objection> {
        let catalogue = self.catalogue.as_ref().map(|cell| cell.load());
        let reach = Reach::of(Some(facts), catalogue.as_deref(), &self.masks);
        let before = std::mem::take(&mut self.reached);
        self.reached = if is_first { reach } else { before.and(reach) };
        objection(facts, &asked.text, &asked.parameters, catalogue.as_deref(), &self.masks)
    }

    /// A statement has ended that may have changed what there is to protect.
    pub(super) fn ended(&mut self, facts: &Facts, in_transaction: bool, now: Now) {
        let Some(cell) = &self.catalogue else { return };
        let defines = Effects::DDL_CREATE | Effects::DDL_ALTER | Effects::DDL_DROP;
        if facts.effects.intersects(defines | Effects::CODE_EXEC | Effects::UNKNOWN) {
            self.defined = Defined::Open;
        }
        if let (Defined::Open, false) = (self.defined, in_transaction) {
            let until_ns = now.after_ms(limits::CATALOGUE_WAIT_MS_MAX);
            self.defined = Defined::Change { number: cell.changed(), until_ns };
        }
    }

    /// The session's next command should wait: the catalogue does not know yet what the session has
    /// defined, so that columns would be replaced of which it is about to learn that they are free.
    pub(super) fn awaits_catalogue(&mut self, now: Now) -> bool {
        let (Defined::Change { number, until_ns }, Some(cell)) = (self.defined, &self.catalogue)
        else {
            return false;
        };
        let waits = !cell.knows(number) && now.mono_ns < until_ns;
        if !waits {
            self.defined = Defined::Nothing;
        }
        waits
    }

    /// Goes through a piece of an answer.
    fn edit(
        &mut self,
        machine: &mut Machine,
        shown: &Shown,
        bytes: &[u8],
        exchanges: &Exchanges,
    ) -> Result<Edited, Fault> {
        let as_it_is = Edited { bytes: bytes.len(), anew: None };
        let catalogue = self.catalogue.as_ref().map(|cell| cell.load());
        let words;
        let plan = match shown {
            Shown::Rows { number, columns } | Shown::RowBegins { number, columns, .. } => {
                self.plan_rows(exchanges.facts(*number), columns, catalogue);
                let Some(planned) = &self.planned else { return Ok(as_it_is) };
                if planned.plan.passes_rows() {
                    machine.rows_pass();
                    return Ok(as_it_is);
                }
                &planned.plan
            }
            Shown::CopyBegins { number, columns, binary } => {
                let heads = (*columns, *binary);
                self.plan_copy(machine, *number, heads, exchanges, catalogue.as_deref());
                return Ok(as_it_is);
            }
            Shown::Copied { number } => match &self.copying {
                Some((of, plan)) if of == number => plan,
                // The machine knows no form for it either, and says so.
                Some(_) | None => {
                    words = Plan::default();
                    &words
                }
            },
            Shown::Words { cause } => {
                let facts = match cause {
                    Cause::Command(number) => exchanges.facts(*number),
                    Cause::End | Cause::Nothing => None,
                };
                let facts = facts.as_deref();
                let ends = *cause == Cause::End
                    || facts.is_some_and(|facts| facts.effects.intersects(Effects::TXN));
                // Outside a block any command may be the one that ends a transaction.
                let before = if ends {
                    Reach::anything(&self.masks)
                } else if facts.is_some() && !machine.in_transaction() {
                    self.reached.clone()
                } else {
                    Reach::Clean
                };
                words = Plan::of_words(facts, catalogue.as_deref(), &self.masks, &before);
                &words
            }
            // They are searched, whatever the statement.
            Shown::Description | Shown::Aside => {
                if self.masks.detector().is_none() {
                    return Ok(as_it_is);
                }
                words = Plan::default();
                &words
            }
        };
        let mut out = Vec::new();
        let mut edits = Edits { plan, masks: &self.masks, keys: &self.keys, hits: &mut self.hits };
        let Rewritten { bytes, changed } = machine.rewrite(shown, bytes, &mut edits, &mut out)?;
        Ok(Edited { bytes, anew: changed.then_some(out) })
    }

    fn plan_rows(
        &mut self,
        facts: Option<Arc<Facts>>,
        columns: &Arc<[Column]>,
        catalogue: Option<Arc<Catalogue>>,
    ) {
        let fits = self
            .planned
            .as_ref()
            .is_some_and(|it| it.fits(facts.as_ref(), columns, catalogue.as_ref()));
        if fits {
            return;
        }
        let plan = Plan::of(columns, facts.as_deref(), catalogue.as_deref(), &self.masks);
        if let (true, Some(cell)) = (plan.met_unknown(), &self.catalogue) {
            cell.want();
        }
        self.planned = Some(Planned { facts, columns: columns.clone(), catalogue, plan });
    }

    fn plan_copy(
        &mut self,
        machine: &mut Machine,
        number: u64,
        (columns, binary): (usize, bool),
        exchanges: &Exchanges,
        catalogue: Option<&Catalogue>,
    ) {
        self.copying = None;
        let Some(facts) = exchanges.facts(number) else { return };
        let mut copies = facts.statements.iter().filter_map(|statement| statement.copy.as_deref());
        let Some(copy) = copies.find(|copy| copy.direction == CopyDirection::ToClient) else {
            return;
        };
        let plan = Plan::of_copy(columns, copy, &facts, catalogue, &self.masks);
        let (Some(plan), Some(form)) = (plan, form(copy)) else { return };
        // The text was not read as the target reads it.
        if binary != (form == CopyForm::Binary) {
            return;
        }
        if plan.passes_rows() {
            machine.rows_pass();
            return;
        }
        machine.copy_form(form, &copy.null, columns, copy.header);
        self.copying = Some((number, plan));
    }
}

const fn form(copy: &Copy) -> Option<CopyForm> {
    let delimiter = copy.delimiter;
    match copy.format {
        CopyFormat::Text => Some(CopyForm::Text { delimiter }),
        CopyFormat::Csv => {
            Some(CopyForm::Csv { delimiter, quote: copy.quote, escape: copy.escape })
        }
        CopyFormat::Binary => Some(CopyForm::Binary),
        CopyFormat::Unknown => None,
    }
}

impl Session {
    /// Leaves the bot's next command where it is for a moment, if it has to wait for the catalogue.
    pub(super) fn wait_for_catalogue(&mut self, now: Now) -> bool {
        let Phase::Open(open) = &mut self.phase else { return false };
        if !open.masking.as_mut().is_some_and(|masking| masking.awaits_catalogue(now)) {
            return false;
        }
        self.downstream.wait();
        self.deadline_ns = Some(now.after_ms(limits::CATALOGUE_LOOK_MS));
        true
    }

    /// The session's deadline, if it has one, is for looking at the catalogue again.
    pub(super) fn looks_for_catalogue(&self) -> bool {
        let Phase::Open(open) = &self.phase else { return false };
        open.masking.as_ref().is_some_and(|it| matches!(it.defined, Defined::Change { .. }))
    }

    pub(super) fn look_for_catalogue(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        self.deadline_ns = None;
        self.downstream.resume();
        self.pump(Leg::Downstream, cx)
    }

    /// Deals with `bytes` of an answer behind `passed` others that may go on already.
    pub(super) fn show(
        &mut self,
        shown: &Shown,
        passed: usize,
        bytes: usize,
        cx: &mut Context<'_>,
    ) -> Result<Next, End> {
        let Phase::Open(open) = &mut self.phase else { return Err(End::defect()) };
        let Some(masking) = &mut open.masking else { return Ok(Next::Passed(passed + bytes)) };
        let answer = self.upstream.unread().get(passed..passed + bytes).ok_or(End::defect())?;
        let Edited { bytes, anew } =
            masking.edit(&mut self.machine, shown, answer, &open.exchanges)?;
        let Some(edited) = anew else { return Ok(Next::Passed(passed + bytes)) };
        self.forward(Leg::Upstream, passed, cx)?;
        self.upstream.take(bytes);
        let Phase::Open(open) = &mut self.phase else { return Err(End::defect()) };
        self.totals.count_sent(Leg::Downstream, edited.len());
        let proof = open.tap.append(RunKind::Delivered, cx.now, &edited)?;
        let (leg, chunk) = (Leg::Downstream, Chunk::from(edited));
        cx.outputs.push_back(Output::Forward { leg, chunk, proof });
        Ok(Next::Passed(0))
    }
}
