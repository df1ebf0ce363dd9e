//! What is no longer live and not yet deleted.

use highwater_records::Offset;

use super::{entry::SegmentEntry, page::PageRef};
use crate::encoding::{FormatError, Reader, Writer};

/// The smallest encoding of a dropped entry, in bytes.
pub(crate) const DROPPED_BYTES_MIN: usize = 11 + super::page::REF_BYTES_MIN + 17;

/// Objects that were live until a head change dropped them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// When, on the wall clock of whoever dropped them.
    pub(crate) at_ms: i64,
    /// Why.
    pub(crate) reason: DropReason,
    /// A collector may be deleting them: they must not be pinned any more.
    pub(crate) deleting: bool,
    /// Which.
    pub(crate) what: DroppedObjects,
}

/// Why objects were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// By time or size.
    Retention,
    /// The log start was moved past them.
    RecordsDeleted,
    /// Another history took their place.
    Diverged,
    /// The topic is gone.
    TopicDeleted,
    /// A page with more entries took this page's place.
    Replaced,
}

/// The objects of one [`Dropped`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DroppedObjects {
    /// One segment object.
    Segment(SegmentEntry),
    /// Segments that a page names.
    Page {
        /// The page.
        page: PageRef,
        /// Segments whose live start is at or above this ...
        from: Offset,
        /// ... and below this; page objects below `page` that lie wholly inside too.
        to: Offset,
        /// The page object itself too.
        whole: bool,
    },
}

impl DropReason {
    const ALL: [DropReason; 5] = [
        DropReason::Retention,
        DropReason::RecordsDeleted,
        DropReason::Diverged,
        DropReason::TopicDeleted,
        DropReason::Replaced,
    ];
}

impl Dropped {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.i64(self.at_ms);
        out.u8(self.reason as u8);
        out.flag(self.deleting);
        match &self.what {
            DroppedObjects::Segment(entry) => {
                out.u8(0);
                entry.write(out);
            }
            DroppedObjects::Page { page, from, to, whole } => {
                out.u8(1);
                page.write(out);
                out.offset(*from);
                out.offset(*to);
                out.flag(*whole);
            }
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Dropped, FormatError> {
        let at_ms = reader.i64()?;
        let reason = DropReason::ALL.get(usize::from(reader.u8()?)).copied();
        Ok(Dropped {
            at_ms,
            reason: reason.ok_or(FormatError::Bad("unknown reason"))?,
            deleting: reader.flag()?,
            what: match reader.u8()? {
                0 => DroppedObjects::Segment(SegmentEntry::read(reader)?),
                1 => DroppedObjects::Page {
                    page: PageRef::read(reader)?,
                    from: reader.offset()?,
                    to: reader.offset()?,
                    whole: reader.flag()?,
                },
                _ => return Err(FormatError::Bad("unknown kind of dropped objects")),
            },
        })
    }
}
