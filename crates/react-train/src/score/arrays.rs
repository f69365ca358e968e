//! Arrays of any program: npy, npz, safetensors, or a folder with one array a clip.

use anyhow::{Context, Result, bail, ensure};
use ndarray::{ArrayD, ArrayViewD, Axis};
use react_store::{NpyElement, NpyMap};
use safetensors::{Dtype, SafeTensors};
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// An array, in a mapped file where it can be used in place.
enum Values {
    Mapped(NpyMap),
    Read(ArrayD<f32>),
}

impl Values {
    /// From an npy file: f32 are mapped, other number types are read.
    fn open(path: &Path) -> Result<Self> {
        let map = NpyMap::open(path)?;
        if map.header().element == NpyElement::F32 && map.view_f32().is_ok() {
            return Ok(Self::Mapped(map));
        }
        Ok(Self::Read(react_store::read_npy_f32(path)?))
    }

    fn view(&self) -> Result<ArrayViewD<'_, f32>> {
        match self {
            Self::Mapped(map) => Ok(map.view_f32()?),
            Self::Read(array) => Ok(array.view()),
        }
    }
}

/// What one argument names: one array of all clips, or one array a clip.
pub(crate) struct Arrays {
    path: PathBuf,
    /// Names of the clips, in natural order; empty where one array holds all.
    pub(crate) names: Vec<String>,
    values: Vec<Values>,
}

/// How arrays are asked for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Names that the array of all clips has in an archive, the first of them in messages.
    pub(crate) keys: &'a [&'a str],
    /// Axes of all clips' array; a clip's has one less.
    pub(crate) axes: usize,
    /// Both shapes in words.
    pub(crate) shape: &'a str,
}

impl Arrays {
    /// Reads a file or a folder. In an archive the array of one of the wanted keys is taken, or its only array, or all of them as
    /// one array a clip; `FILE:KEY` takes that one.
    ///
    /// # Errors
    /// Where nothing can be read, or an array has other axes than were wanted.
    pub(crate) fn read(path: &Path, wanted: Wanted<'_>) -> Result<Self> {
        let (path, key) = split_key(path);
        let (names, values) = if path.is_dir() {
            ensure!(key.is_none(), "{}: a folder has no keys", path.display());
            folder(&path)?
        } else {
            match extension(&path).as_str() {
                "npz" => choose(&path, super::npz::read(&path)?, key.as_deref(), wanted)?,
                "safetensors" => choose(&path, read_safetensors(&path)?, key.as_deref(), wanted)?,
                "npy" => (Vec::new(), vec![Values::open(&path)?]),
                _ => bail!("{}: wanted .npy, .npz, .safetensors, or a folder with one .npy a clip", path.display()),
            }
        };
        let arrays = Self { path, names, values };
        arrays.check(wanted)?;
        Ok(arrays)
    }

    fn check(&self, wanted: Wanted<'_>) -> Result<()> {
        let axes = if self.names.is_empty() { wanted.axes } else { wanted.axes - 1 };
        for (i, values) in self.values.iter().enumerate() {
            let view = values.view()?;
            let place = self.names.get(i).map_or_else(String::new, |name| format!(", clip {name}"));
            ensure!(view.ndim() == axes, "{}{place}: wanted an array {}, found {:?}", self.path.display(), wanted.shape, view.shape());
        }
        Ok(())
    }

    /// The file or folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The array of all clips, where there is one.
    pub(crate) fn stacked(&self) -> Result<Option<ArrayViewD<'_, f32>>> {
        if self.names.is_empty() { self.values.first().map(Values::view).transpose() } else { Ok(None) }
    }

    /// Each clip's array.
    pub(crate) fn clips(&self) -> Result<Vec<ArrayViewD<'_, f32>>> {
        match self.stacked()? {
            Some(all) => Ok((0..all.len_of(Axis(0))).map(|i| all.clone().index_axis_move(Axis(0), i)).collect()),
            None => self.values.iter().map(Values::view).collect(),
        }
    }

    /// Puts named clips into the order of `names`, where both have names.
    ///
    /// # Errors
    /// Where a name is on one side only.
    pub(crate) fn in_order_of(mut self, names: &[String], of: &Path) -> Result<Self> {
        if names.is_empty() || self.names.is_empty() || self.names == names {
            return Ok(self);
        }
        let missing = |here: &[String], there: &[String]| here.iter().find(|name| !there.contains(name)).cloned();
        if let Some(name) = missing(names, &self.names) {
            bail!("{} has no clip {name}, which {} has", self.path.display(), of.display());
        }
        if let Some(name) = missing(&self.names, names) {
            bail!("{} has the clip {name}, which {} has not", self.path.display(), of.display());
        }
        let place = |name: &String| names.iter().position(|other| other == name);
        let mut all: Vec<_> = self.names.drain(..).zip(self.values.drain(..)).collect();
        all.sort_by_key(|(name, _)| place(name));
        (self.names, self.values) = all.into_iter().unzip();
        Ok(self)
    }
}

/// `FILE.npz:KEY` and `FILE.safetensors:KEY`, unless there is a file of that very name.
fn split_key(path: &Path) -> (PathBuf, Option<String>) {
    if let Some(text) = path.to_str().filter(|_| !path.exists()) {
        for archive in [".npz:", ".safetensors:"] {
            if let Some(at) = text.rfind(archive) {
                let end = at + archive.len();
                return (text[..end - 1].into(), Some(text[end..].to_owned()));
            }
        }
    }
    (path.to_owned(), None)
}

pub(crate) fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

type Named = Vec<(String, ArrayD<f32>)>;

/// Of an archive's arrays, the wanted one, or all as clips.
fn choose(path: &Path, mut arrays: Named, key: Option<&str>, wanted: Wanted<'_>) -> Result<(Vec<String>, Vec<Values>)> {
    let keys: Vec<String> = arrays.iter().map(|(name, _)| name.clone()).collect();
    ensure!(!keys.is_empty(), "{}: it holds no array", path.display());
    let at = match key {
        Some(key) => Some(
            keys.iter().position(|name| name == key).with_context(|| format!("{}: no array {key}, only {}", path.display(), few(&keys)))?,
        ),
        None => wanted.keys.iter().find_map(|key| keys.iter().position(|name| name == key)),
    };
    // A lone array may be of all clips, or of the only one.
    let at = at.or((arrays.len() == 1 && arrays[0].1.ndim() == wanted.axes).then_some(0));
    if let Some(at) = at {
        return Ok((Vec::new(), vec![Values::Read(arrays.swap_remove(at).1)]));
    }
    if let Some((name, array)) = arrays.iter().find(|(_, array)| array.ndim() != wanted.axes - 1) {
        bail!(
            "{}: it has no array {:?}, so each array should be a clip, {}; but {name} is {:?} (name one with {}:KEY; there are {})",
            path.display(),
            wanted.keys[0],
            wanted.shape,
            array.shape(),
            path.display(),
            few(&keys)
        );
    }
    arrays.sort_by(|(x, _), (y, _)| natural(x, y));
    Ok(arrays.into_iter().map(|(name, array)| (name, Values::Read(array))).unzip())
}

fn few(names: &[String]) -> String {
    let first = names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 8 { format!("{first} and {} more", names.len() - 8) } else { first }
}

/// Numbers within names by their value: `arr_2` before `arr_10`.
pub(crate) fn natural(x: &str, y: &str) -> Ordering {
    fn pieces(text: &str) -> Vec<(Option<u128>, &str)> {
        let mut out = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let digits = first.is_ascii_digit();
            let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
            let (piece, after) = rest.split_at(end);
            out.push((if digits { piece.parse().ok() } else { None }, piece));
            rest = after;
        }
        out
    }
    // Numbers before words; equal numbers ("1", "01") by their text.
    let key = |(number, text): &(Option<u128>, &str)| (number.is_none(), number.unwrap_or(0), (*text).to_owned());
    let (x, y) = (pieces(x), pieces(y));
    x.iter().map(key).cmp(y.iter().map(key))
}

/// All .npy files below a folder, by their paths without extension.
fn folder(root: &Path) -> Result<(Vec<String>, Vec<Values>)> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if extension(&path) == "npy" {
                let name = path.strip_prefix(root)?.with_extension("");
                files.push((name.to_string_lossy().replace('\\', "/"), path));
            }
        }
    }
    ensure!(!files.is_empty(), "{}: the folder holds no .npy file", root.display());
    files.sort_by(|(x, _), (y, _)| natural(x, y));
    files.into_iter().map(|(name, path)| Ok((name, Values::open(&path)?))).collect::<Result<Vec<_>>>().map(|all| all.into_iter().unzip())
}

/// All number tensors of a file. Safetensors checks the header against the file's length before anything is taken from it.
fn read_safetensors(path: &Path) -> Result<Named> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let tensors = SafeTensors::deserialize(&bytes).with_context(|| format!("{} is no safetensors file", path.display()))?;
    let mut out = Vec::new();
    for (name, view) in tensors.tensors() {
        let data = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F64 => data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
            Dtype::U8 | Dtype::BOOL => data.iter().map(|b| f32::from(*b)).collect(),
            other => bail!("{}: the tensor {name} is {other:?}; wanted F32 or F64", path.display()),
        };
        out.push((name, ArrayD::from_shape_vec(view.shape(), values)?));
    }
    out.sort_by(|(x, _), (y, _)| natural(x, y));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_numbers() {
        let mut names = ["arr_10", "arr_2", "NoXI/a/N/12", "NoXI/a/N/3", "arr_02", "7"];
        names.sort_by(|x, y| natural(x, y));
        assert_eq!(names, ["7", "NoXI/a/N/3", "NoXI/a/N/12", "arr_02", "arr_2", "arr_10"]);
    }

    #[test]
    fn keys_are_split_off_archives_only() {
        let split = |text: &str| {
            let (path, key) = split_key(Path::new(text));
            (path.to_string_lossy().into_owned(), key)
        };
        assert_eq!(split("a.npz:pred"), ("a.npz".to_owned(), Some("pred".to_owned())));
        assert_eq!(split("a.npy:pred"), ("a.npy:pred".to_owned(), None));
    }
}
