//! Certificates, for all who speak TLS: what files hold, judged before it is used, and whom this machine trusts.
//!
//! | module | what |
//! |---|---|
//! | `pem` | a file of certificates: who vouches for others, and what was revoked |
//! | `identity` | a certificate and its key |
//! | `follow` | files that are read again while a host runs, and what is told of that |
//! | `trust` | the authorities that this machine trusts |
//! | `error` | why a file cannot be used |

mod error;
mod follow;
mod identity;
mod pem;
mod trust;

pub use error::FileError;
pub use follow::follow;
pub use identity::Identity;
pub use pem::PemFile;
pub use trust::{TrustError, trusted_by_machine, trusting};
