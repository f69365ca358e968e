use std::fmt;

/// Which clip: the path that the challenge's csv files give, in its parts.
///
/// Four parts are `site/chat/person/clip`. Five parts are UDIVA's `site/subject/topic/person/clip`, whose chat is
/// `topic_subject`. Three parts are MARS' `role/session/recording`, with the role `speaker` or `listener`: the chat is the session,
/// the person the role, and there are neither site nor number. The order of clips is that of their paths.
///
/// ```
/// use react_data::ClipId;
/// let clip = ClipId::parse("UDIVA/038039/Talk/FC1/2")?;
/// assert_eq!((clip.site(), clip.chat(), clip.person(), clip.number()), ("UDIVA", "Talk_038039", "FC1", Some(2)));
/// assert_eq!(clip.path(), "UDIVA/038039/Talk/FC1/2");
/// let clip = ClipId::parse("speaker/session3/Camera-2024-06-21-103121-103102")?;
/// assert_eq!((clip.site(), clip.chat(), clip.person(), clip.number()), ("", "session3", "speaker", None));
/// assert_eq!(ClipId::parse("NoXI/../../etc/1").unwrap_err(), "\"NoXI/../../etc/1\" has the part \"..\"");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClipId {
    path: String,
    site: String,
    chat: String,
    person: String,
    number: Option<u32>,
}

/// The roles of MARS' folders.
pub(crate) const ROLES: [&str; 2] = ["speaker", "listener"];

impl ClipId {
    /// Reads a path of four or five parts that ends with the clip's number, or of three parts that begins with a role.
    ///
    /// # Errors
    /// A sentence about what is wrong: the caller knows file and row. Parts that could lead out of the corpus (`..`, drive
    /// letters, backslashes, control characters) are refused.
    pub fn parse(path: &str) -> Result<Self, String> {
        let parts: Vec<&str> = path.split('/').collect();
        for part in &parts {
            let odd = part.contains(['\\', ':', ',', '"']) || part.chars().any(char::is_control) || part.trim() != *part;
            if part.is_empty() || part.starts_with('.') || odd {
                return Err(format!("{path:?} has the part {part:?}"));
            }
        }
        let (site, chat, person, clip) = match parts[..] {
            [role, session, _] if ROLES.contains(&role) => {
                let (path, chat, person) = (path.to_owned(), session.to_owned(), role.to_owned());
                return Ok(Self { path, site: String::new(), chat, person, number: None });
            }
            [site, chat, person, clip] => (site, chat.to_owned(), person, clip),
            [site, subject, topic, person, clip] => (site, format!("{topic}_{subject}"), person, clip),
            _ => return Err(format!("{path:?} has {} parts, not 4 (site/chat/person/clip) or 5 (UDIVA)", parts.len())),
        };
        let number = clip.parse().map_err(|_| format!("{path:?} does not end with the number of a clip"))?;
        Ok(Self { path: path.to_owned(), site: site.to_owned(), chat, person: person.to_owned(), number: Some(number) })
    }

    /// The path as in the csv, with `/`: below a modality's folder, without extension.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where it was recorded: `NoXI`, `RECOLA`, `UDIVA`, …; empty of MARS.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The conversation; UDIVA's is `topic_subject`, MARS' the session.
    #[must_use]
    pub fn chat(&self) -> &str {
        &self.chat
    }

    /// The person or role whose recording it is.
    #[must_use]
    pub fn person(&self) -> &str {
        &self.person
    }

    /// The number of the clip in its conversation; MARS' recordings have none.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        self.number
    }
}

impl fmt::Display for ClipId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

/// A speaker's clip and the listener's clip of the same moments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// Who speaks.
    pub speaker: ClipId,
    /// Who reacts.
    pub listener: ClipId,
}

impl Pair {
    /// The same moments with the roles swapped.
    #[must_use]
    pub fn swapped(&self) -> Self {
        Self { speaker: self.listener.clone(), listener: self.speaker.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_parts() {
        let clip = ClipId::parse("NoXI/010_2016-03-25_Paris/Expert_video/5").unwrap();
        let parts = (clip.site(), clip.chat(), clip.person(), clip.number());
        assert_eq!(parts, ("NoXI", "010_2016-03-25_Paris", "Expert_video", Some(5)));
        assert_eq!(clip.to_string(), "NoXI/010_2016-03-25_Paris/Expert_video/5");
    }

    #[test]
    fn odd_paths_are_refused() {
        for path in [
            "",
            "a/b/c",
            "speaker/s",
            "speaker/s/._x",
            "a/b/c/d/e/f",
            "/b/c/1",
            "a/./c/1",
            "a/b/c\\d/1",
            "C:/b/c/1",
            "a/b/c/1.mp4",
            "a/b/c/-1",
            "a/b /c/1",
            "a/b\0/c/1",
        ] {
            assert!(ClipId::parse(path).is_err(), "{path:?}");
        }
    }
}
