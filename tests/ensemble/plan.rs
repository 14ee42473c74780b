//! Random steps: nodes of few names, so that operations meet.

use soloist_seed::Random;

use crate::operation::{
    CREATE, CREATE_2, CREATE_CONTAINER, Entry, GET_CHILDREN, GET_CHILDREN_2, Operation,
};
use crate::raw::Body;
use crate::side::Step;

/// How many clients there are.
pub(crate) const CLIENTS: usize = 3;

/// Draws steps.
#[derive(Debug)]
pub(crate) struct Plan {
    random: Random,
    /// The node below which most happens.
    base: String,
}

impl Plan {
    pub(crate) fn new(seed: u64, base: &str) -> Self {
        Self {
            random: Random::new(seed),
            base: base.to_owned(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        let index = self.below(all.len() as u64);
        all[usize::try_from(index).expect("short")].clone()
    }

    /// The next step; `last_zxid` tells what a client has heard of.
    pub(crate) fn step(&mut self, last_zxid: impl Fn(usize) -> i64) -> Step {
        let client = self.pick(&[0, 1, 2]);
        match self.below(24) {
            0 => Step::Reconnect {
                client,
                timeout: self.timeout(),
                operations: self.watches_again(last_zxid(client)),
            },
            1 => Step::Renew {
                client,
                timeout: self.timeout(),
            },
            2 => self.alone(client),
            _ => {
                let mut operations: Vec<_> =
                    (0..=self.below(4)).map(|_| self.operation()).collect();
                // For changes that are under way already ZooKeeper may go by the ACL before.
                let acl = |operation: &Operation| matches!(operation, Operation::SetAcl { .. });
                if let Some(last) = operations.iter().position(acl) {
                    operations.truncate(last + 1);
                }
                Step::Ask { client, operations }
            }
        }
    }

    /// What is answered out of turn, or ends a connection.
    fn alone(&mut self, client: usize) -> Step {
        let secrets = ["one:secret", "two:secret", "three", ":", ""];
        let operation = match self.below(6) {
            0 => return Step::Forge { client },
            1 => Operation::Odd {
                code: 12345,
                body: Vec::new(),
            },
            2 => Operation::Auth {
                scheme: self.pick(&["ip", "world", "sasl", "nothing"]),
                secret: "",
            },
            _ => Operation::Auth {
                scheme: "digest",
                secret: self.pick(&secrets),
            },
        };
        Step::Ask {
            client,
            operations: vec![operation],
        }
    }

    /// What is asked for, in milliseconds: less and more than any server agrees to as well.
    fn timeout(&mut self) -> i32 {
        self.pick(&[i32::MIN, -1, 0, 1, 20_000, 60_000, 1_000_000, i32::MAX])
    }

    fn watches_again(&mut self, last_zxid: i64) -> Vec<Operation> {
        if self.one_in(3) {
            return Vec::new();
        }
        let since = last_zxid - self.pick(&[0, 0, 1, 3, 10]);
        let lists =
            [4, 3, 4, 2, 2].map(|bound| (0..self.below(bound)).map(|_| self.path()).collect());
        let mut operations = vec![Operation::SetWatches { since, lists }];
        operations.extend((0..self.below(3)).map(|_| self.operation()));
        operations
    }

    /// A message with an operation, whole.
    pub(crate) fn message(&mut self) -> Body {
        let operation = self.operation();
        let mut message = Body::default().int(1).int(operation.code());
        message.0.extend(operation.body().0);
        message
    }

    fn operation(&mut self) -> Operation {
        match self.below(30) {
            0..=7 => self.create(),
            8..=10 => self.delete(),
            11..=13 => self.set_data(),
            14 => Operation::SetAcl {
                path: self.path(),
                acl: self.acl(),
                version: self.version(),
            },
            15 | 16 => Operation::Exists {
                path: self.path(),
                watch: self.one_in(2),
            },
            17 | 18 => Operation::GetData {
                path: self.path(),
                watch: self.one_in(2),
            },
            19 => Operation::GetAcl { path: self.path() },
            20 | 21 => Operation::GetChildren {
                code: self.pick(&[GET_CHILDREN, GET_CHILDREN_2]),
                path: self.path(),
                watch: self.one_in(2),
            },
            22..=24 => {
                let operations = (0..self.below(5)).map(|_| self.part()).collect();
                Operation::Multi(operations)
            }
            25 => self.multi_read(),
            26 => Operation::AddWatch {
                path: self.path(),
                mode: self.pick(&[0, 1, 0, 1, 7]),
            },
            27 => Operation::RemoveWatches {
                path: self.path(),
                kind: self.pick(&[1, 2, 3, 9]),
            },
            28 => self.seldom(),
            _ => self.broken(),
        }
    }

    fn create(&mut self) -> Operation {
        let code = self.pick(&[CREATE, CREATE, CREATE_2, CREATE_2, CREATE_CONTAINER]);
        let flags = match code {
            CREATE_CONTAINER => 4,
            _ => self.pick(&[0, 0, 0, 1, 1, 2, 3, 3, 5, 6, 77]),
        };
        Operation::Create {
            code,
            path: self.path(),
            data: self.data(),
            acl: self.acl(),
            flags,
        }
    }

    fn delete(&mut self) -> Operation {
        Operation::Delete {
            path: self.path(),
            version: self.version(),
        }
    }

    fn set_data(&mut self) -> Operation {
        Operation::SetData {
            path: self.path(),
            data: self.data(),
            version: self.version(),
        }
    }

    /// Part of a transaction.
    fn part(&mut self) -> Operation {
        match self.below(10) {
            0..=3 => match self.create() {
                // ZooKeeper trips over a time to live here, and keeps half of the transaction in mind.
                Operation::Create { flags: 5 | 6, .. } => self.delete(),
                create => create,
            },
            4 | 5 => self.delete(),
            6 | 7 => self.set_data(),
            8 => Operation::Check {
                path: self.path(),
                version: self.version(),
            },
            // Seldom one that is no part of such a transaction.
            _ if self.one_in(8) => Operation::GetData {
                path: self.path(),
                watch: false,
            },
            _ => Operation::Check {
                path: self.base.clone(),
                version: -1,
            },
        }
    }

    fn multi_read(&mut self) -> Operation {
        let reads = (0..self.below(4)).map(|_| match self.below(2) {
            0 => Operation::GetData {
                path: self.path(),
                watch: self.one_in(2),
            },
            _ => Operation::GetChildren {
                code: GET_CHILDREN,
                path: self.path(),
                watch: self.one_in(2),
            },
        });
        let mut reads: Vec<_> = reads.collect();
        if self.one_in(10) {
            reads.push(self.delete());
        }
        Operation::MultiRead(reads)
    }

    fn seldom(&mut self) -> Operation {
        match self.below(6) {
            0 => Operation::Sync { path: self.path() },
            1 => Operation::Ephemerals {
                prefix: self.pick(&[String::new(), "/".into(), self.base.clone()]),
            },
            2 => Operation::AllChildrenNumber { path: self.path() },
            3 => Operation::WhoAmI,
            4 => Operation::CheckWatches {
                path: self.base.clone(),
                kind: self.pick(&[1, 2, 3]),
            },
            // A change of the ensemble's servers.
            _ => Operation::Odd {
                code: 16,
                body: vec![0; 20],
            },
        }
    }

    /// An operation whose message ends too early.
    fn broken(&mut self) -> Operation {
        let whole = match self.below(4) {
            0 => self.create(),
            1 => self.delete(),
            2 => Operation::Multi(vec![self.create(), self.delete()]),
            _ => Operation::GetData {
                path: self.path(),
                watch: true,
            },
        };
        let mut body = whole.body().0;
        body.pop();
        Operation::Odd {
            code: whole.code(),
            body,
        }
    }

    fn path(&mut self) -> String {
        if self.one_in(25) {
            let odd = [
                "",
                "/",
                "x",
                "x/y",
                "/x/",
                "//x",
                "/x//y",
                "/.",
                "/../x",
                "/x\0y",
                "/x\u{1}y",
                "/é",
                "/\u{fffd}",
                "/zookeeper",
                "/zookeeper/quota",
                "/zookeeper/config",
            ];
            let odd = self.pick(&odd);
            return if self.one_in(2) {
                odd.to_owned()
            } else {
                format!("{}{odd}", self.base)
            };
        }
        let mut path = self.base.clone();
        for _ in 0..self.below(4) {
            path.push('/');
            path.push_str(self.pick(&["a", "b", "a", "a0000000000", "a0000000001"]));
        }
        path
    }

    fn version(&mut self) -> i32 {
        self.pick(&[-1, -1, -1, -1, 0, 0, 1, 2, -2])
    }

    fn data(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.below(6)).expect("short");
        (!self.one_in(12)).then(|| vec![b'd'; length])
    }

    fn acl(&mut self) -> Vec<Entry> {
        let entry = |rights, scheme, id: &str| vec![(rights, scheme, id.to_owned())];
        if !self.one_in(3) {
            return entry(31, "world", "anyone");
        }
        let one = "one:GcTB/4WUXQ8FbqDPlF2nh5kITcY=";
        let rights = self.pick(&[31, 1, 3, 5, 15, 16, 0]);
        match self.below(12) {
            0 => Vec::new(),
            1 | 2 => entry(rights, "auth", ""),
            3 => entry(rights, "digest", one),
            4 => entry(31, "digest", self.pick(&["one", "one:", "a:b:c", ":x"])),
            5 => entry(rights, "ip", "127.0.0.1"),
            6 => entry(
                31,
                "ip",
                self.pick(&["10.0.0.0/8", "127.0.0.0/8", "1.2.3", "1.2.3.4/33"]),
            ),
            7 => entry(31, "world", "someone"),
            8 => entry(31, self.pick(&["sasl", "nothing", ""]), "x"),
            9 => [entry(rights, "auth", ""), entry(1, "world", "anyone")].concat(),
            10 => [entry(1, "world", "anyone"), entry(1, "world", "anyone")].concat(),
            _ => entry(rights, "world", "anyone"),
        }
    }
}
