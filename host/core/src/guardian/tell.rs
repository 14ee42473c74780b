//! How a process tells its guardian, if it has one.

use std::fmt;
use std::sync::Arc;

use super::{Message, Node, Place};

/// Whoever brings messages to the guardian.
pub trait Listener: fmt::Debug + Send + Sync {
    /// Takes a message on its way. It must not block, and what was told last of a place or a node has to arrive in the end.
    fn tell(&self, message: Message);
}

/// Tells the guardian what this process has in the ensemble. Without a guardian it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Teller(Option<Arc<dyn Listener>>);

impl Teller {
    /// Tells this one.
    pub fn new(listener: Arc<dyn Listener>) -> Self {
        Self(Some(listener))
    }

    /// Tells something.
    pub fn tell(&self, message: Message) {
        if let Some(listener) = &self.0 {
            listener.tell(message);
        }
    }

    /// A session is about to create this node.
    pub fn holds(&self, session: i64, path: &str) {
        self.node(session, path, Message::Holds);
    }

    /// The node is gone, or its session has ended.
    pub fn let_go(&self, session: i64, path: &str) {
        self.node(session, path, Message::LetGo);
    }

    fn node(&self, session: i64, path: &str, about: fn(Node) -> Message) {
        if let Some(listener) = &self.0 {
            let path = path.to_owned();
            listener.tell(about(Node { session, path }));
        }
    }
}

/// Tells of one task what has changed.
#[derive(Debug, Default)]
pub struct Told(Option<(Teller, Place)>);

impl Told {
    /// Tells where the task stands now; None if it has nothing in the ensemble.
    pub fn now(&mut self, place: Option<(&Teller, Place)>) {
        let told = self.0.as_ref().map(|(_, told)| told);
        if told == place.as_ref().map(|(_, place)| place) {
            return;
        }
        let before = self.0.take();
        // What the new session has is known before what the last one had is forgotten.
        if let Some((teller, place)) = &place {
            teller.tell(Message::Stands(place.clone()));
        }
        let session = place.as_ref().map(|(_, place)| place.session);
        if let Some((teller, before)) = before.filter(|(_, it)| session != Some(it.session)) {
            let Place { session, task, .. } = before;
            teller.tell(Message::Left { session, task });
        }
        self.0 = place.map(|(teller, place)| (teller.clone(), place));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<Message>>);

    impl Listener for Heard {
        fn tell(&self, message: Message) {
            self.0.lock().unwrap().push(message);
        }
    }

    #[test]
    fn only_what_has_changed_is_told() {
        let heard = Arc::new(Heard::default());
        let teller = Teller::new(heard.clone());
        let place = |session, leads| {
            Some(Place {
                session,
                task: "t".into(),
                master: None,
                candidates: Vec::new(),
                leads,
            })
        };
        let mut told = Told::default();
        for now in [
            None,
            place(1, None),
            place(1, None),
            place(1, Some(4)),
            place(2, None),
            None,
            None,
        ] {
            told.now(now.map(|place| (&teller, place)));
        }
        let stands = |session, leads| Message::Stands(place(session, leads).unwrap());
        let left = |session| Message::Left {
            session,
            task: "t".into(),
        };
        let expected = [
            stands(1, None),
            stands(1, Some(4)),
            stands(2, None),
            left(1),
            left(2),
        ];
        assert_eq!(*heard.0.lock().unwrap(), expected);
    }
}
