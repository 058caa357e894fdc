//! A program that expands before it serves, with its migrations inside of it.
//!
//! ```sh
//! DATABASE_URL=sqlite://shop.db cargo run --example expand_at_startup
//! ```
//!
//! Of several instances that start at once, one expands; the others wait for it. Backfill and
//! contract are no business of a start: they run beside it, as `zdmig backfill` and
//! `zdmig contract`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program"
)]

use zdmig::{Failed, Zdmig};

/// What the program was built with. A folder does as well: `Zdmig::migrations`.
const MIGRATIONS: &[(&str, &str)] = &[
    ("1_users", "CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT);"),
    ("2_rename", "ALTER TABLE users RENAME COLUMN username TO email;"),
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DATABASE_URL")?;
    match start(&url).await {
        Ok(()) => {}
        Err(failed) => {
            for next in &failed.next {
                eprintln!("next: {next}");
            }
            return Err(failed.into());
        }
    }
    println!("serving");
    Ok(())
}

async fn start(url: &str) -> Result<(), Failed> {
    let zdmig = Zdmig::new(url).embedded(MIGRATIONS)?;
    for done in zdmig.expand().await? {
        println!("{} is {} after {} steps", done.migration, done.state, done.steps);
    }
    Ok(())
}
