//! Follows a recording as it is written: reads on where the last look ended, and goes over to the
//! next segment when there is one.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::record::segment::SegmentHeader;

use super::{
    Blocks, DamageError, Ending, Entry, EntryKind, EntryReader, Flow, Progress, ReadError, Segment,
    Wanted, order, segments,
};

/// Follows a recording directory as it grows.
pub struct Follower {
    dir: PathBuf,
    reader: EntryReader,
    current: Option<Blocks>,
}

impl Follower {
    /// Follows from the end of what `reader` has read: `from` is the newest segment and how far it
    /// was read, or nothing to begin at the beginning.
    #[must_use]
    pub fn new(dir: PathBuf, reader: EntryReader, from: Option<Blocks>) -> Self {
        Self { dir, reader, current: from }
    }

    /// Shows everything that has been written since the last look.
    pub fn poll(&mut self, visit: &mut impl FnMut(Entry<'_>) -> Flow) -> Result<Flow, ReadError> {
        loop {
            let Some(blocks) = &mut self.current else {
                match self.next_segment(None)? {
                    Some(next) => self.current = Some(next),
                    None => return Ok(ControlFlow::Continue(())),
                }
                continue;
            };
            let at = blocks.at();
            // A block at the end that is not whole yet may be one that is being written.
            let mut quiet = |entry: Entry<'_>| {
                let is_bad =
                    matches!(&entry.kind, EntryKind::Damaged { error: DamageError::Block(_), .. });
                if is_bad { ControlFlow::Continue(()) } else { visit(entry) }
            };
            match self.reader.step(blocks, Wanted::All, &mut quiet)? {
                Progress::Read => {}
                Progress::Enough => return Ok(ControlFlow::Break(())),
                Progress::Vacant | Progress::Finished => {
                    blocks.seek(at);
                    let path = blocks.segment().path.clone();
                    let Some(next) = self.next_segment(Some(&path))? else {
                        return Ok(ControlFlow::Continue(()));
                    };
                    self.finish(&next.segment().header, visit)?;
                    self.current = Some(next);
                }
            }
        }
    }

    /// A successor exists: whatever its predecessor still has is final now.
    fn finish(
        &mut self,
        next: &SegmentHeader,
        visit: &mut impl FnMut(Entry<'_>) -> Flow,
    ) -> Result<(), ReadError> {
        let Some(blocks) = &mut self.current else { return Ok(()) };
        match blocks.segment().ending()? {
            Ending::Sealed(trailer) => blocks.set_limit(trailer.valid_bytes),
            Ending::GivenUp(seal) => blocks.set_limit(seal.valid_bytes),
            Ending::Open if next.predecessor == blocks.segment().header.segment => {
                blocks.set_limit(next.predecessor_valid_bytes);
            }
            Ending::Open => blocks.set_limit(blocks.segment().file_bytes()?),
        }
        loop {
            let at = blocks.at();
            match self.reader.step(blocks, Wanted::All, visit)? {
                Progress::Read => {}
                Progress::Enough | Progress::Finished => return Ok(()),
                Progress::Vacant => {
                    blocks.seek(at);
                    if !blocks.resync(0)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The first segment of all, or the one of the same writer after `current`, once it can be read.
    fn next_segment(&self, current: Option<&Path>) -> Result<Option<Blocks>, ReadError> {
        let paths = match segments(&self.dir) {
            Ok(paths) => paths,
            // Nothing has been recorded here yet.
            Err(ReadError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let next = paths.iter().find(|path| match current.map(order) {
            None => true,
            Some((writer, seq, _)) => {
                let (other, later, _) = order(path);
                other == writer && later > seq
            }
        });
        match next.map(|path| Segment::open(path)) {
            None | Some(Err(ReadError::Segment { .. })) => Ok(None),
            Some(Err(error)) => Err(error),
            Some(Ok(segment)) => Ok(Some(Blocks::new(segment, u64::MAX))),
        }
    }
}
