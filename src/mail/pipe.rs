//! A mail that leaves through a command, as sendmail takes one: the recipient behind `--`, the mail on standard input.
//!
//! No shell is between. Lines end in LF, as everything that is piped on Unix; the mail system makes its own of them.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::compose::Mail;
use super::transport::{Sent, Transport, Trouble, envelope};

/// Bytes of what the command says that are looked at.
const SAID: u64 = 4096;

/// The exit codes of <sysexits.h> that are about the mail or its recipient, EX_DATAERR and EX_NOUSER. All others, also
/// those that some programs give for a name that cannot be resolved just now, may be otherwise next time.
const FINAL: [i32; 2] = [65, 67];

/// A sendmail command.
struct Sendmail {
    command: PathBuf,
    timeout: Duration,
}

/// A command that takes mails as sendmail does, and has so long for each.
#[must_use]
pub fn sendmail(command: PathBuf, timeout: Duration) -> impl Transport + use<> {
    Sendmail { command, timeout }
}

impl Transport for Sendmail {
    fn send<'a>(&'a self, mail: &'a Mail) -> Sent<'a> {
        Box::pin(async move {
            // What would not be an address is no argument either.
            envelope(mail)?;
            let sent = tokio::time::timeout(self.timeout, self.pipe(mail)).await;
            sent.unwrap_or_else(|_| {
                let seconds = self.timeout.as_secs();
                Err(Trouble::ForNow(format!(
                    "the command took more than {seconds} s"
                )))
            })
        })
    }
}

impl Sendmail {
    async fn pipe(&self, mail: &Mail) -> Result<(), Trouble> {
        let command = self.command.display();
        let mut child = Command::new(&self.command)
            .args(["-i", "-f", &mail.sender, "--", &mail.recipient])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Trouble::Unreachable(format!("{command}: {error}")))?;
        let text = String::from_utf8_lossy(&mail.bytes).replace("\r\n", "\n");
        let (status, said) = talk(&mut child, text.as_bytes())
            .await
            .map_err(|error| Trouble::ForNow(format!("{command}: {error}")))?;
        if status.success() {
            return Ok(());
        }
        let why = super::tidings::one_line(&format!("{status}: {}", said.trim()));
        Err(match status.code() {
            Some(code) if FINAL.contains(&code) => Trouble::Final(why),
            _ => Trouble::ForNow(why),
        })
    }
}

/// Gives a command its input and waits for its end; answers what it said.
async fn talk(child: &mut Child, input: &[u8]) -> std::io::Result<(ExitStatus, String)> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A command that ends without reading everything says why by its exit code.
            let _ = stdin.write_all(input).await;
        }
    };
    let read = async {
        let mut said = Vec::new();
        if let Some(stderr) = stderr {
            stderr.take(SAID).read_to_end(&mut said).await?;
        }
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&said).into_owned())
    };
    let ((), said) = tokio::join!(write, read);
    Ok((child.wait().await?, said?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn script(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("sendmail");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    fn mail(recipient: &str) -> Mail {
        Mail {
            id: "1@cal.example".to_owned(),
            sender: "calendar+x@cal.example".to_owned(),
            recipient: recipient.to_owned(),
            bytes: b"Subject: a\r\n\r\n.\r\nFrom me\r\n".to_vec(),
        }
    }

    const PATIENCE: Duration = Duration::from_secs(60);

    /// One after the other: a script cannot be run while another test's fork still has it open.
    #[tokio::test]
    async fn a_command_takes_mails_as_sendmail_does() {
        the_command_gets_the_mail_and_two_addresses_and_no_shell().await;
        the_exit_code_says_whether_another_time_helps().await;
    }

    async fn the_command_gets_the_mail_and_two_addresses_and_no_shell() {
        let folder = Scratch::new();
        let seen = folder.path().join("seen");
        let seen = seen.display();
        let text = format!("printf '%s|' \"$@\" > {seen}\ncat >> {seen}");
        let command = sendmail(script(folder.path(), &text), PATIENCE);
        let to = "a'${IFS}`id`&b|c@example.com";
        command.send(&mail(to)).await.unwrap();
        let got = std::fs::read_to_string(folder.path().join("seen")).unwrap();
        let expected = "-i|-f|calendar+x@cal.example|--|";
        assert_eq!(got, format!("{expected}{to}|Subject: a\n\n.\nFrom me\n"));
        // What begins like an option stands behind the two hyphens, and what is no address goes nowhere.
        command.send(&mail("-oQ/tmp@example.com")).await.unwrap();
        let got = std::fs::read_to_string(folder.path().join("seen")).unwrap();
        assert!(
            got.starts_with(&format!("{expected}-oQ/tmp@example.com|")),
            "{got}"
        );
        for bad in ["", "a b@example.com", "a@example.com\nb@example.com", "-bs"] {
            let sent = command.send(&mail(bad)).await;
            assert!(matches!(sent, Err(Trouble::Final(_))), "{bad}: {sent:?}");
        }
    }

    async fn the_exit_code_says_whether_another_time_helps() {
        let folder = Scratch::new();
        for (text, expected) in [
            ("cat > /dev/null", Ok(())),
            (
                "echo later >&2; exit 75",
                Err(Trouble::ForNow("exit status: 75: later".into())),
            ),
            ("exit 67", Err(Trouble::Final("exit status: 67:".into()))),
            ("exit 65", Err(Trouble::Final("exit status: 65:".into()))),
            ("exit 78", Err(Trouble::ForNow("exit status: 78:".into()))),
            ("yes no >&2; exit 70", Err(Trouble::ForNow("no".into()))),
            (
                "kill -9 $$",
                Err(Trouble::ForNow("signal: 9 (SIGKILL):".into())),
            ),
        ] {
            let command = sendmail(script(folder.path(), text), PATIENCE);
            let sent = command.send(&mail("a@example.com")).await;
            match (&sent, &expected) {
                (Err(Trouble::ForNow(why)), Err(Trouble::ForNow(part))) => {
                    assert!(why.contains(part.as_str()), "{text}: {why}");
                }
                _ => assert_eq!(sent, expected, "{text}"),
            }
        }
        let slow = sendmail(
            script(folder.path(), "sleep 600"),
            Duration::from_millis(50),
        );
        let sent = slow.send(&mail("a@example.com")).await;
        assert!(matches!(sent, Err(Trouble::ForNow(_))), "{sent:?}");
        let none = sendmail(folder.path().join("nothing"), PATIENCE);
        let sent = none.send(&mail("a@example.com")).await;
        assert!(matches!(sent, Err(Trouble::Unreachable(_))), "{sent:?}");
    }
}
