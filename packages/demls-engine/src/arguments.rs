//! What Python passes, read with errors of this package.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMapping};

use crate::error::{Error, Result};
use crate::extension::ExtensionMap;

/// A number that must fit, however large Python's was.
#[derive(Clone, Copy)]
pub struct Number<T>(pub T);

impl<'a, 'py, T> FromPyObject<'a, 'py> for Number<T>
where
    T: TryFrom<i128>,
{
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let number = object.extract::<i128>().ok();
        number
            .and_then(|number| T::try_from(number).ok())
            .map(Self)
            .ok_or_else(|| Error::input("A number is negative, too large, or none.").into())
    }
}

pub fn extensions(mapping: &Bound<'_, PyMapping>) -> PyResult<ExtensionMap> {
    let mut map = BTreeMap::new();
    for item in mapping.items()? {
        let (number, content): (Number<u16>, Bound<'_, PyBytes>) = item.extract()?;
        map.insert(number.0, content.as_bytes().to_vec());
    }
    Ok(map)
}

pub fn optional_extensions(
    mapping: Option<&Bound<'_, PyMapping>>,
) -> PyResult<Option<ExtensionMap>> {
    mapping.map(extensions).transpose()
}

pub fn seed(seed: &[u8]) -> Result<[u8; 32]> {
    seed.try_into()
        .map_err(|_| Error::input("A seed has 32 bytes."))
}

pub fn numbers<T: Copy>(numbers: &[Number<T>]) -> Vec<T> {
    numbers.iter().map(|number| number.0).collect()
}
