//! Again, when somebody else was faster.

use super::Error;

/// How often a change is tried before whoever asked for it is told to come back.
const ATTEMPTS: u32 = 8;

/// An error that may be a conflict.
pub trait Contended {
    /// Whether the attempt met a change of somebody else, and another may go well.
    fn is_conflict(&self) -> bool;
}

impl Contended for Error {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict)
    }
}

/// Takes a turn, decides on its views and commits: `attempt` does all of it, and does it again on a conflict. Nothing
/// of an attempt that met one may last.
///
/// # Errors
/// What an attempt answers; a conflict if the last of them met one.
pub async fn again<T, E: Contended, F>(mut attempt: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if error.is_conflict() => {}
            answer => return answer,
        }
    }
    attempt().await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of attempts that meet a conflict until this one, and how many are made.
    async fn tried(good: u32, error: fn() -> Error) -> (Result<u32, Error>, u32) {
        let mut count = 0;
        let answer = again(|| {
            count += 1;
            let answer = if count < good {
                Err(error())
            } else {
                Ok(count)
            };
            async move { answer }
        });
        (answer.await, count)
    }

    #[tokio::test]
    async fn a_conflict_is_tried_again_and_nothing_else() {
        let conflict = || Error::Conflict;
        assert!(matches!(tried(3, conflict).await, (Ok(3), 3)));
        let (answer, count) = tried(ATTEMPTS + 1, conflict).await;
        assert!(matches!(answer, Err(Error::Conflict)));
        assert_eq!(count, ATTEMPTS);
        let (answer, count) = tried(3, || Error::TooLarge("test")).await;
        assert!(matches!(answer, Err(Error::TooLarge("test"))));
        assert_eq!(count, 1);
    }
}
