//! How each type of a field is read and written.

use bytes::Bytes;
use types::Uuid;

use crate::{DecodeError, EncodeError, Reader, Records, StrBytes, Writer};

/// A type that a field or an array's element can have.
///
/// An implementor guarantees that `read` takes `SIZE_MIN` bytes at least, whatever the version,
/// and that `write` and `read` agree for each version. The tests against the `kafka-protocol`
/// crate prove it.
pub trait Element: Sized {
    /// The fewest bytes that a value takes in any version.
    const SIZE_MIN: usize;

    fn read(r: &mut Reader, v: i16, f: bool) -> Result<Self, DecodeError>;

    fn write(&self, w: &mut Writer, v: i16, f: bool) -> Result<(), EncodeError>;

    /// Shows every `error_code` in the value, 0 included, whatever the version.
    fn error_codes(&self, see: &mut dyn FnMut(i16)) {
        let _ = see;
    }
}

/// An element that can be null. What stands here by default is a struct's way: one byte in front,
/// -1 for null and 1 otherwise.
pub trait Nullable: Element {
    const NULLABLE_SIZE_MIN: usize = 1;

    fn read_nullable(r: &mut Reader, v: i16, f: bool) -> Result<Option<Self>, DecodeError> {
        if r.int8()? < 0 { Ok(None) } else { Self::read(r, v, f).map(Some) }
    }

    fn write_nullable(
        value: Option<&Self>,
        w: &mut Writer,
        v: i16,
        f: bool,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => {
                w.int8(1);
                value.write(w, v, f)
            }
            None => {
                w.int8(-1);
                Ok(())
            }
        }
    }
}

impl<T: Nullable> Element for Option<T> {
    const SIZE_MIN: usize = T::NULLABLE_SIZE_MIN;

    fn read(r: &mut Reader, v: i16, f: bool) -> Result<Self, DecodeError> {
        T::read_nullable(r, v, f)
    }

    fn write(&self, w: &mut Writer, v: i16, f: bool) -> Result<(), EncodeError> {
        T::write_nullable(self.as_ref(), w, v, f)
    }

    fn error_codes(&self, see: &mut dyn FnMut(i16)) {
        if let Some(value) = self {
            value.error_codes(see);
        }
    }
}

/// The value of a field that this version cannot leave null.
pub(crate) fn required<'a, T>(
    value: &'a Option<T>,
    field: &'static str,
    version: i16,
) -> Result<&'a T, EncodeError> {
    value.as_ref().ok_or(EncodeError::NullNotInVersion { field, version })
}

/// The error for a value that this version has no field for.
pub(crate) fn absent(field: &'static str, version: i16) -> EncodeError {
    EncodeError::FieldNotInVersion { field, version }
}

macro_rules! fixed {
    ($($type:ty, $name:ident, $size:literal;)*) => { $(
        impl Element for $type {
            const SIZE_MIN: usize = $size;

            fn read(r: &mut Reader, _: i16, _: bool) -> Result<Self, DecodeError> {
                r.$name()
            }

            fn write(&self, w: &mut Writer, _: i16, _: bool) -> Result<(), EncodeError> {
                w.$name(*self);
                Ok(())
            }
        }
    )* };
}

fixed! {
    bool, bool, 1;
    i8, int8, 1;
    i16, int16, 2;
    u16, uint16, 2;
    i32, int32, 4;
    i64, int64, 8;
    f64, float64, 8;
    Uuid, uuid, 16;
}

/// Types whose length says whether they are null: the null and the present form share a writer.
macro_rules! length_prefixed {
    ([$($generic:tt)*] $type:ty, |$r:ident, $v:ident, $f:ident| $read:expr,
     |$value:ident, $w:ident| $write:expr $(, $codes:item)?) => {
        impl<$($generic)*> Element for $type {
            const SIZE_MIN: usize = 1;

            fn read(r: &mut Reader, v: i16, f: bool) -> Result<Self, DecodeError> {
                Self::read_nullable(r, v, f)?.ok_or(DecodeError::UnexpectedNull)
            }

            fn write(&self, w: &mut Writer, v: i16, f: bool) -> Result<(), EncodeError> {
                Self::write_nullable(Some(self), w, v, f)
            }

            $($codes)?
        }

        impl<$($generic)*> Nullable for $type {
            fn read_nullable(
                $r: &mut Reader,
                $v: i16,
                $f: bool,
            ) -> Result<Option<Self>, DecodeError> {
                $read
            }

            fn write_nullable(
                $value: Option<&Self>,
                $w: &mut Writer,
                $v: i16,
                $f: bool,
            ) -> Result<(), EncodeError> {
                $write
            }
        }
    };
}

length_prefixed!(
    [] StrBytes,
    |r, _v, f| r.string_nullable(f),
    |value, w| w.string_nullable(value.map(StrBytes::as_str), f)
);
length_prefixed!(
    [] Bytes,
    |r, _v, f| r.bytes_nullable(f),
    |value, w| w.bytes_nullable(value, f)
);
length_prefixed!(
    [] Records,
    |r, _v, f| Ok(r.bytes_nullable(f)?.map(Records::new)),
    |value, w| w.records_nullable(value, f)
);
length_prefixed!(
    [T: Element] Vec<T>,
    |r, v, f| r.array_nullable(v, f),
    |value, w| w.array_nullable(value.map(Vec::as_slice), v, f),
    fn error_codes(&self, see: &mut dyn FnMut(i16)) {
        for element in self {
            element.error_codes(see);
        }
    }
);
