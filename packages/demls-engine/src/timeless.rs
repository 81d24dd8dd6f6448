//! Postcard without the wall clock.
//!
//! OpenMLS notes with the secrets of each epoch when they were stored, by the wall clock. Nothing
//! here uses that time, and with it a state would not be a function of what went in: two runs of
//! one simulation would save different bytes. So every `SystemTime` is written as 1970, and read
//! back as that. All else is what `postcard` writes (its format is specified and stable).

use postcard::ser_flavors::{AllocVec, Flavor};
use postcard::{Error, Result, Serializer};
use serde::ser::{self, Serialize, Serializer as _};

/// The name under which serde writes a `SystemTime`.
const CLOCK_TYPE: &str = "SystemTime";

pub fn to_vec(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut postcard = Serializer {
        output: AllocVec::new(),
    };
    value.serialize(Timeless(&mut postcard))?;
    postcard.output.finalize()
}

struct Timeless<'a>(&'a mut Serializer<AllocVec>);

/// Anything with parts; in postcard they follow each other without more.
struct Parts<'a> {
    postcard: &'a mut Serializer<AllocVec>,
    is_clock: bool,
}

impl<'a> Timeless<'a> {
    fn parts(self) -> Parts<'a> {
        Parts {
            postcard: self.0,
            is_clock: false,
        }
    }
}

impl Parts<'_> {
    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        if self.is_clock {
            self.postcard.serialize_u64(0)
        } else {
            value.serialize(Timeless(self.postcard))
        }
    }
}

macro_rules! as_postcard_does {
    ($($method:ident($type:ty))*) => {
        $(fn $method(self, value: $type) -> Result<()> {
            self.0.$method(value)
        })*
    };
}

impl<'a> ser::Serializer for Timeless<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Parts<'a>;
    type SerializeTuple = Parts<'a>;
    type SerializeTupleStruct = Parts<'a>;
    type SerializeTupleVariant = Parts<'a>;
    type SerializeMap = Parts<'a>;
    type SerializeStruct = Parts<'a>;
    type SerializeStructVariant = Parts<'a>;

    as_postcard_does! {
        serialize_bool(bool) serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_i128(i128) serialize_u128(u128) serialize_f32(f32) serialize_f64(f64)
        serialize_unit_struct(&'static str)
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_none(self) -> Result<()> {
        self.0.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        self.0.serialize_u8(1)?;
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<()> {
        self.0.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        variant_index: u32,
        _variant: &'static str,
    ) -> Result<()> {
        self.0.serialize_u32(variant_index)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        variant_index: u32,
        _variant: &'static str,
        value: &T,
    ) -> Result<()> {
        self.0.serialize_u32(variant_index)?;
        value.serialize(self)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Parts<'a>> {
        self.0.serialize_seq(len)?;
        Ok(self.parts())
    }

    fn serialize_tuple(self, _len: usize) -> Result<Parts<'a>> {
        Ok(self.parts())
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Parts<'a>> {
        Ok(self.parts())
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        variant_index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Parts<'a>> {
        self.0.serialize_u32(variant_index)?;
        Ok(self.parts())
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Parts<'a>> {
        self.0.serialize_map(len)?;
        Ok(self.parts())
    }

    fn serialize_struct(self, name: &'static str, _len: usize) -> Result<Parts<'a>> {
        Ok(Parts {
            postcard: self.0,
            is_clock: name == CLOCK_TYPE,
        })
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        variant_index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Parts<'a>> {
        self.0.serialize_u32(variant_index)?;
        Ok(self.parts())
    }
}

impl ser::SerializeSeq for Parts<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.part(value)
    }

    fn end(self) -> Result<()> {
        Ok(())
    }
}

impl ser::SerializeTuple for Parts<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.part(value)
    }

    fn end(self) -> Result<()> {
        Ok(())
    }
}

impl ser::SerializeTupleStruct for Parts<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.part(value)
    }

    fn end(self) -> Result<()> {
        Ok(())
    }
}

impl ser::SerializeTupleVariant for Parts<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.part(value)
    }

    fn end(self) -> Result<()> {
        Ok(())
    }
}

impl ser::SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.part(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.part(value)
    }

    fn end(self) -> Result<()> {
        Ok(())
    }
}

impl ser::SerializeStruct for Parts<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        _key: &'static str,
        value: &T,
    ) -> Result<()> {
        self.part(value)
    }

    fn end(self) -> Result<()> {
        Ok(())
    }
}

impl ser::SerializeStructVariant for Parts<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        _key: &'static str,
        value: &T,
    ) -> Result<()> {
        self.part(value)
    }

    fn end(self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, SystemTime};

    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Unit,
        One(u16),
        Two(i64, String),
        Named { flag: bool, rest: Vec<u8> },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Everything {
        shapes: Vec<Shape>,
        map: BTreeMap<String, Option<u32>>,
        tuple: (u8, i8, char, f64, ()),
        when: Option<SystemTime>,
    }

    fn everything(when: Option<SystemTime>) -> Everything {
        Everything {
            shapes: vec![
                Shape::Unit,
                Shape::One(300),
                Shape::Two(-1, "text".to_owned()),
                Shape::Named {
                    flag: true,
                    rest: vec![1, 2, 3],
                },
            ],
            map: [("a".to_owned(), Some(70_000)), ("b".to_owned(), None)].into(),
            tuple: (255, -128, 'x', 0.5, ()),
            when,
        }
    }

    #[test]
    fn what_has_no_clock_is_written_as_postcard_does() {
        let value = everything(None);
        assert_eq!(to_vec(&value), postcard::to_allocvec(&value));
    }

    #[test]
    fn every_clock_reading_becomes_1970() {
        let now = SystemTime::UNIX_EPOCH + Duration::new(1_800_000_000, 123_456_789);
        let encoded = to_vec(&everything(Some(now))).expect("it is encodable");
        assert_eq!(
            postcard::from_bytes(&encoded),
            Ok(everything(Some(SystemTime::UNIX_EPOCH)))
        );
    }
}
