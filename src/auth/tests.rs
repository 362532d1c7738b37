//! Tests of logins and accounts on the engine in memory.

use std::sync::Arc;

use base64::Engine as _;

use super::accounts::{self, By, Edit, NewPrincipal};
use super::password::{self, Cost};
use super::secrets;
use super::{Auth, Authenticated, Denied, Limits, Presented};
use crate::ical::Timestamp;
use crate::store::memory::Memory;
use crate::store::{self, Actor, Id, Kind, PrincipalKind, Store};

const NOW: Timestamp = Timestamp(1_800_000_000);

fn by(now: Timestamp) -> By {
    By {
        actor: Actor {
            principal: None,
            client: "test".to_owned(),
        },
        now,
    }
}

fn limits() -> Limits {
    Limits {
        cost: Cost::LEAST,
        failures: 3,
        ..Limits::default()
    }
}

async fn store() -> Arc<Store> {
    Store::open(Arc::new(Memory::new()), store::Limits::default())
        .await
        .unwrap()
}

async fn add(store: &Store, kind: PrincipalKind, name: &str) -> Id {
    let new = NewPrincipal {
        addresses: vec![format!("{name}@example.org")],
        password: Some(password::hash(&format!("{name}'s secret"), Cost::LEAST).unwrap()),
        ..NewPrincipal::named(kind, name)
    };
    accounts::add(store, &new, &by(NOW)).await.unwrap()
}

struct Door {
    store: Arc<Store>,
    auth: Auth,
}

impl Door {
    async fn with_alice() -> Door {
        let store = store().await;
        add(&store, PrincipalKind::User, "alice").await;
        let auth = Auth::new(store.clone(), &limits()).unwrap();
        Door { store, auth }
    }

    async fn at(
        &self,
        now: Timestamp,
        name: &str,
        password: &str,
    ) -> Result<Authenticated, Denied> {
        let pair = format!("{name}:{password}");
        let header = format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        );
        self.auth
            .authenticate(
                Presented {
                    authorization: Some(&header),
                    address: Some([192, 0, 2, 1].into()),
                    confidential: true,
                },
                now,
            )
            .await
    }

    async fn knock(&self, name: &str, password: &str) -> Result<Authenticated, Denied> {
        self.at(NOW, name, password).await
    }
}

#[tokio::test]
async fn an_account_is_made_whole() {
    let store = store().await;
    for (kind, expected) in [
        (
            PrincipalKind::User,
            &["calendar", "inbox", "notification", "outbox", "tasks"][..],
        ),
        (
            PrincipalKind::Room,
            &["calendar", "inbox", "notification", "outbox"],
        ),
        (PrincipalKind::Group, &[]),
    ] {
        let id = add(&store, kind, &format!("{kind:?}").to_lowercase()).await;
        let home = store.home(id).await.unwrap();
        assert_eq!(home.exists(), kind != PrincipalKind::Group);
        let names: Vec<&str> = home
            .collections()
            .map(|collection| collection.name.as_str())
            .collect();
        assert_eq!(names, expected, "{kind:?}");
    }
    let user = store.directory().await.unwrap().by_name("USER").unwrap().id;
    let home = store.home(user).await.unwrap();
    assert_eq!(home.collection("inbox").unwrap().kind, Kind::Inbox);
    let tasks = &home.collection("tasks").unwrap().settings;
    assert_eq!(
        tasks
            .components
            .iter()
            .map(|c| c.name())
            .collect::<Vec<_>>(),
        ["VTODO"]
    );
    assert!(tasks.properties["{DAV:}displayname"].contains("Tasks"));
}

#[tokio::test]
async fn a_removed_account_leaves_nothing_to_the_next_of_its_name() {
    let store = store().await;
    let old = add(&store, PrincipalKind::User, "alice").await;
    accounts::remove(&store, accounts::ALL_KINDS, "alice", &by(NOW))
        .await
        .unwrap();
    assert!(!store.home(old).await.unwrap().exists());
    assert!(store.directory().await.unwrap().is_empty());
    let again = accounts::remove(&store, accounts::ALL_KINDS, "alice", &by(NOW)).await;
    assert!(matches!(again, Err(accounts::Error::Unknown(_))));
    let new = add(&store, PrincipalKind::User, "alice").await;
    assert_ne!(old, new);
    assert!(store.home(new).await.unwrap().exists());
}

#[tokio::test]
async fn a_name_or_address_belongs_to_one() {
    let store = store().await;
    add(&store, PrincipalKind::User, "alice").await;
    let again = NewPrincipal::named(PrincipalKind::Room, "ALICE");
    assert!(matches!(
        accounts::add(&store, &again, &by(NOW)).await,
        Err(accounts::Error::Refused(_))
    ));
    let same = NewPrincipal {
        addresses: vec!["Alice@Example.ORG".to_owned()],
        ..NewPrincipal::named(PrincipalKind::User, "other")
    };
    assert!(matches!(
        accounts::add(&store, &same, &by(NOW)).await,
        Err(accounts::Error::Refused(_))
    ));
    let directory = store.directory().await.unwrap();
    assert!(
        directory.by_name("other").is_none(),
        "nothing of it is there"
    );
}

#[tokio::test]
async fn the_right_password_opens_and_no_other() {
    let door = Door::with_alice().await;
    for name in ["alice", "Alice", "alice@example.org", " alice "] {
        let known = door.knock(name, "alice's secret").await.unwrap();
        assert_eq!(
            (known.principal.name.as_str(), known.client),
            ("alice", None),
            "{name}"
        );
    }
    for (name, password) in [("alice", ""), ("bob", "alice's secret"), ("", "")] {
        assert!(
            matches!(door.knock(name, password).await, Err(Denied::Challenge)),
            "{name} {password}"
        );
    }
    let long = "x".repeat(5000);
    assert!(matches!(
        door.knock("alice", &long).await,
        Err(Denied::Challenge)
    ));
}

#[tokio::test]
async fn without_credentials_or_secrecy_nobody_is_let_in() {
    let door = Door::with_alice().await;
    let mut presented = Presented {
        authorization: None,
        address: None,
        confidential: true,
    };
    assert!(matches!(
        door.auth.authenticate(presented, NOW).await,
        Err(Denied::Challenge)
    ));
    presented.authorization = Some("Bearer x");
    assert!(matches!(
        door.auth.authenticate(presented, NOW).await,
        Err(Denied::Challenge)
    ));
    presented.confidential = false;
    presented.authorization = Some("Basic YWxpY2U6YWxpY2UncyBzZWNyZXQ=");
    assert!(matches!(
        door.auth.authenticate(presented, NOW).await,
        Err(Denied::Insecure)
    ));
    presented.confidential = true;
    assert!(door.auth.authenticate(presented, NOW).await.is_ok());
}

#[tokio::test]
async fn a_change_of_password_or_account_counts_at_once() {
    let door = Door::with_alice().await;
    assert!(door.knock("alice", "alice's secret").await.is_ok());
    assert!(door.knock("alice", "new").await.is_err());
    let phc = password::hash("new", Cost::LEAST).unwrap();
    secrets::set_password(&door.store, "alice", &phc, &by(NOW))
        .await
        .unwrap();
    assert!(door.knock("alice", "alice's secret").await.is_err());
    assert!(
        door.knock("alice", "new").await.is_ok(),
        "also where it was wrong a moment ago"
    );
    let disable = Edit {
        disabled: Some(true),
        ..Edit::default()
    };
    accounts::edit(
        &door.store,
        accounts::ALL_KINDS,
        "alice",
        &disable,
        &by(NOW),
    )
    .await
    .unwrap();
    assert!(door.knock("alice", "new").await.is_err());
    let later = Timestamp(NOW.0 + 1000);
    let enable = Edit {
        disabled: Some(false),
        ..Edit::default()
    };
    accounts::edit(&door.store, accounts::ALL_KINDS, "alice", &enable, &by(NOW))
        .await
        .unwrap();
    assert!(door.at(later, "alice", "new").await.is_ok());
    accounts::remove(&door.store, accounts::ALL_KINDS, "alice", &by(NOW))
        .await
        .unwrap();
    assert!(door.at(later, "alice", "new").await.is_err());
    assert!(door.at(later, "bob", "bob's secret").await.is_err());
    add(&door.store, PrincipalKind::User, "bob").await;
    assert!(
        door.at(later, "bob", "bob's secret").await.is_ok(),
        "a new account is known at once"
    );
}

#[tokio::test]
async fn rooms_and_groups_do_not_log_in() {
    let door = Door::with_alice().await;
    add(&door.store, PrincipalKind::Room, "room").await;
    assert!(matches!(
        door.knock("room", "room's secret").await,
        Err(Denied::Challenge)
    ));
}

#[tokio::test]
async fn app_passwords_are_told_apart_and_end_with_their_removal() {
    let door = Door::with_alice().await;
    let text = password::random().unwrap();
    let hash = password::app_hash(&text);
    secrets::add_app_password(&door.store, "alice", "phone", &hash, &by(NOW))
        .await
        .unwrap();
    let second = secrets::add_app_password(&door.store, "alice", "phone", "x", &by(NOW)).await;
    assert!(matches!(second, Err(accounts::Error::Refused(_))));
    let known = door.knock("alice", &text).await.unwrap();
    assert_eq!(known.client.as_deref(), Some("phone"));
    assert!(door.knock("alice", &text).await.is_ok());
    assert!(
        door.knock("alice", "alice's secret").await.is_ok(),
        "the password still counts"
    );
    let stays = secrets::remove_app_password(&door.store, "alice", "tablet", &by(NOW)).await;
    assert!(matches!(stays, Err(accounts::Error::Unknown(_))));
    secrets::remove_app_password(&door.store, "alice", "phone", &by(NOW))
        .await
        .unwrap();
    assert!(door.knock("alice", &text).await.is_err());
}

#[tokio::test]
async fn the_last_use_is_noted_once_in_an_hour() {
    let door = Door::with_alice().await;
    let text = password::random().unwrap();
    let hash = password::app_hash(&text);
    secrets::add_app_password(&door.store, "alice", "phone", &hash, &by(NOW))
        .await
        .unwrap();
    let id = door
        .store
        .directory()
        .await
        .unwrap()
        .by_name("alice")
        .unwrap()
        .id;
    let mut noted = Vec::new();
    for seconds in [0, 60, 3599, 3600, 3700] {
        door.at(Timestamp(NOW.0 + seconds), "alice", &text)
            .await
            .unwrap();
        // The note is written behind the request's back.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let credentials = door.store.credentials(id).await.unwrap();
        noted.push(
            credentials.app_passwords[0]
                .last_used
                .map(|at| at.0 - NOW.0),
        );
    }
    assert_eq!(noted, [Some(0), Some(0), Some(0), Some(3600), Some(3600)]);
}

#[tokio::test]
async fn guessers_wait_whether_the_account_exists_or_not() {
    for name in ["alice", "nobody"] {
        let door = Door::with_alice().await;
        for guess in 0..3 {
            assert!(matches!(
                door.knock(name, &guess.to_string()).await,
                Err(Denied::Challenge)
            ));
        }
        let waits = door.knock(name, "more").await;
        assert!(
            matches!(waits, Err(Denied::Throttled { retry_after: 1 })),
            "{name} {waits:?}"
        );
        assert!(
            matches!(door.knock(name, "2").await, Err(Denied::Challenge)),
            "the same wrong one is no guess"
        );
        let later = Timestamp(NOW.0 + 1);
        assert!(matches!(
            door.at(later, name, "more").await,
            Err(Denied::Challenge)
        ));
        assert!(matches!(
            door.at(later, name, "x").await,
            Err(Denied::Throttled { retry_after: 2 })
        ));
    }
}

#[tokio::test]
async fn a_client_in_use_is_not_held_up_by_guessers() {
    let door = Door::with_alice().await;
    assert!(door.knock("alice", "alice's secret").await.is_ok());
    for guess in 0..5 {
        let _ = door.knock("alice", &guess.to_string()).await;
    }
    assert!(matches!(
        door.knock("alice", "x").await,
        Err(Denied::Throttled { .. })
    ));
    assert!(door.knock("alice", "alice's secret").await.is_ok());
}

#[tokio::test]
async fn more_checks_than_may_wait_are_turned_away() {
    let store = store().await;
    add(&store, PrincipalKind::User, "alice").await;
    let limits = Limits {
        waiting: 0,
        ..limits()
    };
    let auth = Auth::new(store.clone(), &limits).unwrap();
    let door = Door { store, auth };
    assert!(matches!(
        door.knock("alice", "alice's secret").await,
        Err(Denied::Busy)
    ));
}

#[tokio::test]
async fn groups_hold_groups_but_not_themselves() {
    let store = store().await;
    let by = by(NOW);
    let alice = add(&store, PrincipalKind::User, "alice").await;
    let staff = add(&store, PrincipalKind::Group, "staff").await;
    add(&store, PrincipalKind::Group, "managers").await;
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    accounts::change_members(&store, "managers", &names(&["alice"]), &[], &by)
        .await
        .unwrap();
    accounts::change_members(&store, "staff", &names(&["managers"]), &[], &by)
        .await
        .unwrap();
    let directory = store.directory().await.unwrap();
    assert!(directory.is_member(alice, staff));
    for (group, member) in [
        ("managers", "staff"),
        ("staff", "staff"),
        ("managers", "managers"),
    ] {
        let cycle = accounts::change_members(&store, group, &names(&[member]), &[], &by).await;
        assert!(
            matches!(cycle, Err(accounts::Error::Refused(_))),
            "{member} in {group}"
        );
    }
    let unknown = accounts::change_members(&store, "staff", &names(&["carol"]), &[], &by).await;
    assert!(matches!(unknown, Err(accounts::Error::Unknown(_))));
    accounts::change_members(&store, "staff", &[], &names(&["managers"]), &by)
        .await
        .unwrap();
    let directory = store.directory().await.unwrap();
    assert!(!directory.is_member(alice, staff));
}
