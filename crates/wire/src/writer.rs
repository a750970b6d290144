//! Writes Kafka's primitive types into pieces for a vectored write.

use bytes::{BufMut, Bytes, BytesMut};
use types::Uuid;

use crate::{Element, Elsewhere, EncodeError, Part, Pieces, Records};

/// Collects a message.
///
/// Promises: a `bytes` or `records` piece of [`Writer::UNCOPIED_MIN`] bytes or more is taken over
/// without a copy; everything else is gathered in order in as few pieces as possible.
#[derive(Debug, Default)]
pub struct Writer {
    /// Finished pieces. The first one stays writable, for a length prefix.
    first: Option<BytesMut>,
    others: Vec<Bytes>,
    /// What the sender supplies, with the number of finished pieces before it.
    gaps: Vec<(usize, Elsewhere)>,
    /// What is being gathered.
    current: BytesMut,
    /// Bytes in `first`, `others` and `gaps`.
    finished_len: usize,
    length_prefix: bool,
}

impl Writer {
    /// From this size on a copy costs more than another entry in a vectored write.
    pub const UNCOPIED_MIN: usize = 1024;

    pub fn new() -> Self {
        Writer::default()
    }

    /// A writer whose first four bytes become the length of all that follows.
    pub fn with_length_prefix() -> Self {
        let mut writer = Writer { length_prefix: true, ..Writer::default() };
        writer.current.reserve(256);
        writer.current.put_i32(0);
        writer
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.finished_len + self.current.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands over what was written.
    ///
    /// With a length prefix a frame above `i32::MAX` bytes is refused.
    pub fn finish_checked(mut self) -> Result<Pieces, EncodeError> {
        let total = self.len();
        if self.length_prefix {
            let length =
                i32::try_from(total - 4).map_err(|_| EncodeError::TooLong { length: total })?;
            let head = self.first.as_mut().unwrap_or(&mut self.current);
            head[..4].copy_from_slice(&length.to_be_bytes());
        }
        self.cut();
        let mut pieces = Vec::with_capacity(1 + self.others.len());
        pieces.extend(self.first.map(BytesMut::freeze));
        pieces.append(&mut self.others);
        Ok(Pieces::with_gaps(pieces, self.gaps))
    }

    /// Hands over what was written, without a length prefix.
    ///
    /// # Panics
    /// If the writer was made with a length prefix: that one can fail and has
    /// [`Writer::finish_checked`].
    pub fn finish(self) -> Pieces {
        assert!(!self.length_prefix, "a frame ends with finish_checked");
        self.finish_checked().expect("only a length prefix can fail")
    }

    /// Ends the piece that is being gathered.
    fn cut(&mut self) {
        if self.current.is_empty() {
            return;
        }
        self.finished_len += self.current.len();
        let piece = self.current.split();
        if self.first.is_none() && self.others.is_empty() {
            self.first = Some(piece);
        } else {
            self.others.push(piece.freeze());
        }
    }

    /// Appends bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &Bytes) {
        if bytes.len() < Self::UNCOPIED_MIN {
            self.current.put_slice(bytes);
            return;
        }
        self.cut();
        self.finished_len += bytes.len();
        self.others.push(bytes.clone());
    }

    /// Leaves room for bytes that the sender supplies.
    pub fn elsewhere(&mut self, elsewhere: Elsewhere) {
        if elsewhere.len == 0 {
            return;
        }
        self.cut();
        self.finished_len += elsewhere.len;
        self.gaps.push((usize::from(self.first.is_some()) + self.others.len(), elsewhere));
    }

    pub fn bool(&mut self, value: bool) {
        self.current.put_u8(u8::from(value));
    }

    pub fn int8(&mut self, value: i8) {
        self.current.put_i8(value);
    }

    pub fn int16(&mut self, value: i16) {
        self.current.put_i16(value);
    }

    pub fn uint16(&mut self, value: u16) {
        self.current.put_u16(value);
    }

    pub fn int32(&mut self, value: i32) {
        self.current.put_i32(value);
    }

    pub fn int64(&mut self, value: i64) {
        self.current.put_i64(value);
    }

    pub fn float64(&mut self, value: f64) {
        self.current.put_f64(value);
    }

    pub fn uuid(&mut self, value: Uuid) {
        self.current.put_slice(&value.0);
    }

    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.current.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.current.put_u8(value as u8);
    }

    pub fn string_nullable(
        &mut self,
        value: Option<&str>,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        let length = value.map(str::len);
        if length.is_some_and(|length| length > i16::MAX as usize) {
            return Err(EncodeError::TooLong { length: length.unwrap_or_default() });
        }
        match (flexible, length) {
            (true, _) => self.compact_length(length)?,
            (false, Some(length)) => self.current.put_i16(length as i16),
            (false, None) => self.current.put_i16(-1),
        }
        self.current.put_slice(value.unwrap_or_default().as_bytes());
        Ok(())
    }

    pub fn bytes_nullable(
        &mut self,
        value: Option<&Bytes>,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        self.long_length(value.map(Bytes::len), flexible)?;
        value.into_iter().for_each(|bytes| self.raw(bytes));
        Ok(())
    }

    pub fn records_nullable(
        &mut self,
        value: Option<&Records>,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        self.long_length(value.map(Records::len), flexible)?;
        value.into_iter().flat_map(Records::pieces).for_each(|piece| self.raw(piece));
        value.and_then(Records::elsewhere).into_iter().for_each(|gap| self.elsewhere(gap));
        Ok(())
    }

    pub fn array_nullable<T: Element>(
        &mut self,
        items: Option<&[T]>,
        version: i16,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        self.long_length(items.map(<[T]>::len), flexible)?;
        items.unwrap_or_default().iter().try_for_each(|item| item.write(self, version, flexible))
    }

    /// Writes one tagged field with its size; the caller wrote the count and keeps the order.
    pub fn tagged_field(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut inner = Writer::new();
        write(&mut inner)?;
        let size = inner.len();
        self.unsigned_varint(tag);
        self.unsigned_varint(
            u32::try_from(size).map_err(|_| EncodeError::TooLong { length: size })?,
        );
        for part in inner.finish().into_parts() {
            match part {
                Part::Bytes(piece) => self.raw(&piece),
                Part::Elsewhere(gap) => self.elsewhere(gap),
            }
        }
        Ok(())
    }

    fn long_length(&mut self, length: Option<usize>, flexible: bool) -> Result<(), EncodeError> {
        if flexible {
            return self.compact_length(length);
        }
        match length.map(i32::try_from) {
            None => self.current.put_i32(-1),
            Some(Ok(length)) => self.current.put_i32(length),
            Some(Err(_)) => {
                return Err(EncodeError::TooLong { length: length.unwrap_or_default() });
            }
        }
        Ok(())
    }

    fn compact_length(&mut self, length: Option<usize>) -> Result<(), EncodeError> {
        let Some(length) = length else {
            self.unsigned_varint(0);
            return Ok(());
        };
        if length >= i32::MAX as usize {
            return Err(EncodeError::TooLong { length });
        }
        self.unsigned_varint(length as u32 + 1);
        Ok(())
    }
}
