//! The Kubernetes release that a policy is for.

/// A release of Kubernetes, by its minor version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetVersion {
    minor: u8,
}

/// What cannot be read as a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version that policies are checked for: write 1.12 to 1.37")]
pub struct VersionError(String);

impl Default for TargetVersion {
    fn default() -> Self {
        Self { minor: 36 }
    }
}

impl std::str::FromStr for TargetVersion {
    type Err = VersionError;

    /// Reads `1.36`, `v1.36` or `1.36.3`.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let (major, minor) = (parts.next(), parts.next());
        let rest_is_number = parts.next().is_none_or(|patch| patch.parse::<u32>().is_ok());
        match minor.and_then(|minor| minor.parse().ok()) {
            Some(minor @ 12..=37) if major == Some("1") && rest_is_number && parts.next().is_none() => Ok(Self { minor }),
            _ => Err(VersionError(text.chars().take(20).collect())),
        }
    }
}

impl std::fmt::Display for TargetVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1.{}", self.minor)
    }
}

impl TargetVersion {
    /// The newest that is known.
    pub const NEWEST: Self = Self { minor: 37 };

    /// Whether it reads `audit.k8s.io/v1beta1` and `v1alpha1`, removed in 1.24.
    #[must_use]
    pub fn has_beta(self) -> bool {
        self.minor < 24
    }

    /// Whether group `*` stands for all groups (from 1.36; a policy with it was refused before).
    #[must_use]
    pub fn has_any_group(self) -> bool {
        self.minor >= 36
    }

    /// Whether policies have `omitManagedFields` (from 1.23).
    #[must_use]
    pub fn has_omit_managed_fields(self) -> bool {
        self.minor >= 23
    }

    /// Whether unknown and repeated fields are warned of (from 1.26; before they were ignored without a word).
    #[must_use]
    pub fn warns(self) -> bool {
        self.minor >= 26
    }

    /// Whether messages show lists as Go writes them in programs, not as JSON (until 1.33).
    pub(super) fn shows_lists_as_go(self) -> bool {
        self.minor < 34
    }

    /// Whether group `extensions` has resources (until 1.21).
    #[must_use]
    pub fn has_extensions(self) -> bool {
        self.minor < 22
    }

    /// Whether a patch that is not JSON loses its event above Metadata (mended in 1.37).
    #[must_use]
    pub fn loses_patches(self) -> bool {
        self.minor <= 36
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, shown) in [("1.36", "1.36"), ("v1.24", "1.24"), ("1.28.3", "1.28")] {
            assert_eq!(text.parse::<TargetVersion>().unwrap().to_string(), shown);
        }
        for wrong in ["", "1", "1.x", "2.36", "1.36.x", "1.36.1.1", "1.11", "1.99", "36"] {
            assert!(wrong.parse::<TargetVersion>().is_err(), "{wrong}");
        }
        assert!("1.23".parse::<TargetVersion>().unwrap().has_beta() && !TargetVersion::default().has_beta());
    }
}
