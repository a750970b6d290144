//! A string that shares the bytes that it came in.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;

use crate::DecodeError;

/// UTF-8 text in [`Bytes`]; cloning is cheap.
///
/// Promises: the bytes are valid UTF-8, checked once on the way in.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StrBytes(Bytes);

impl StrBytes {
    pub const fn from_static(text: &'static str) -> Self {
        StrBytes(Bytes::from_static(text.as_bytes()))
    }

    /// Takes the bytes over without a copy.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, DecodeError> {
        match std::str::from_utf8(&bytes) {
            Ok(_) => Ok(StrBytes(bytes)),
            Err(_) => Err(DecodeError::NotUtf8),
        }
    }

    /// Takes UTF-8 over without a copy; of anything else, a copy with what is wrong replaced.
    pub fn from_utf8_lossy(bytes: Bytes) -> Self {
        match String::from_utf8_lossy(&bytes) {
            std::borrow::Cow::Borrowed(_) => StrBytes(bytes),
            std::borrow::Cow::Owned(text) => text.into(),
        }
    }

    pub fn as_str(&self) -> &str {
        // SAFETY: every constructor takes or checks UTF-8, and the bytes never change.
        unsafe { std::str::from_utf8_unchecked(&self.0) }
    }

    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// A copy of its own, so that keeping it does not keep the frame that it came in.
    pub fn detach(&self) -> StrBytes {
        StrBytes(Bytes::copy_from_slice(&self.0))
    }
}

impl Deref for StrBytes {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for StrBytes {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

// Equal, ordered and hashed as the `str` is, which is what `Borrow` asks for.
impl Borrow<str> for StrBytes {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl Hash for StrBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl From<&str> for StrBytes {
    fn from(text: &str) -> Self {
        StrBytes(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for StrBytes {
    fn from(text: String) -> Self {
        StrBytes(Bytes::from(text.into_bytes()))
    }
}

impl From<&String> for StrBytes {
    fn from(text: &String) -> Self {
        StrBytes::from(text.as_str())
    }
}

impl From<StrBytes> for String {
    fn from(text: StrBytes) -> Self {
        text.as_str().to_owned()
    }
}

impl PartialEq<str> for StrBytes {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for StrBytes {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for StrBytes {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl fmt::Display for StrBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for StrBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
