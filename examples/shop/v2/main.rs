//! The shop as it is after the change: it knows `users.email`.

#[path = "../service.rs"]
mod service;

const QUERIES: service::Queries = service::Queries {
    find: "SELECT email FROM users WHERE id = $1",
    save: "INSERT INTO users (id, email) VALUES ($1, $2) \
           ON CONFLICT (id) DO UPDATE SET email = excluded.email",
    remove: "DELETE FROM users WHERE id = $1",
    report: "SELECT count(email), pg_sleep($1) FROM users WHERE id <= 100",
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    service::main("2", &QUERIES)
}
