//! Tests against real servers, in one binary. `scripts/test` boots PostgreSQL for them;
//! without it they need `ZDMIG_TEST_POSTGRES_URL`.

#![expect(unreachable_pub, reason = "a test binary has no outside")]
#![expect(clippy::disallowed_methods, reason = "tests ask the environment for their servers")]

mod adoption;
mod approvals;
mod bad_input;
mod brownout;
mod browser;
mod cases;
mod chunks;
mod clients;
mod copies;
mod corpus;
mod crash;
mod deploy;
mod derive;
mod docs;
mod elsewhere;
mod environments;
mod failing;
mod fence;
mod hazards;
mod history;
mod inventory;
mod join;
mod kept;
mod kill;
mod library;
mod locks;
mod names;
mod new;
mod observe;
mod overruled;
mod own_server;
mod pages;
mod placeholders;
mod prove;
mod published;
mod random;
mod regressions;
mod replica;
mod retype;
mod runners;
mod schemas;
mod seed;
mod sessions;
mod steer;
mod story;
mod support;
mod taken_back;
mod telemetry;
mod usage;
mod verbs;
mod wait;
mod walks;
