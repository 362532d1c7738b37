//! What users log in with: the password and the app passwords of an account.

use super::accounts::{By, Error, find};
use super::names::check_text;
use crate::store::{self, AppPassword, Change, Credentials, Id, PrincipalKind, Store, again};

/// App passwords of one user.
const MAX_APP_PASSWORDS: usize = 100;

/// Sets a user's password, given as a PHC string; app passwords stay.
pub async fn set_password(store: &Store, name: &str, phc: &str, by: &By) -> Result<(), Error> {
    credentials(store, name, "set password", by, |credentials| {
        credentials.password = Some(phc.to_owned());
        Ok(())
    })
    .await
}

/// Adds an app password, given as its hash, under a label of its own.
pub async fn add_app_password(
    store: &Store,
    name: &str,
    label: &str,
    hash: &str,
    by: &By,
) -> Result<(), Error> {
    check_text(label)?;
    if label.is_empty() {
        return Err(Error::Bad(
            "an app password needs a label, such as the name of the device".to_owned(),
        ));
    }
    let id = Id::random()?;
    credentials(store, name, "add app password", by, |credentials| {
        if credentials
            .app_passwords
            .iter()
            .any(|app| app.label == label)
        {
            return Err(Error::Refused(format!(
                "there is an app password \"{label}\"; remove it first"
            )));
        }
        if credentials.app_passwords.len() >= MAX_APP_PASSWORDS {
            return Err(Error::Refused(format!(
                "there are {MAX_APP_PASSWORDS} app passwords; remove some first"
            )));
        }
        credentials.app_passwords.push(AppPassword {
            id,
            label: label.to_owned(),
            hash: hash.to_owned(),
            created: by.now,
            last_used: None,
        });
        Ok(())
    })
    .await
}

/// Removes the app password of this label.
pub async fn remove_app_password(
    store: &Store,
    name: &str,
    label: &str,
    by: &By,
) -> Result<(), Error> {
    credentials(store, name, "remove app password", by, |credentials| {
        let before = credentials.app_passwords.len();
        credentials.app_passwords.retain(|app| app.label != label);
        if credentials.app_passwords.len() == before {
            return Err(Error::Unknown(format!(
                "app password \"{label}\" of {name}"
            )));
        }
        Ok(())
    })
    .await
}

async fn credentials(
    store: &Store,
    name: &str,
    what: &str,
    by: &By,
    edit: impl Fn(&mut Credentials) -> Result<(), Error>,
) -> Result<(), Error> {
    again(|| async {
        let turn = store.turn(&[Id::DIRECTORY]).await?;
        let directory = turn
            .directory()
            .ok_or(store::Error::Refused(store::Refusal::NotInTurn))?
            .clone();
        let id = find(&directory, &[PrincipalKind::User], name)?.id;
        let mut credentials = store.credentials(id).await?;
        edit(&mut credentials)?;
        let mut change = Change::new(by.now, by.actor.clone(), what);
        change
            .directory(&directory)
            .set_credentials(id, credentials);
        store.commit(change, turn).await?;
        Ok(())
    })
    .await
}
