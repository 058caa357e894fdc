//! The shop as it is before the change: it knows `users.username`.

#[path = "../service.rs"]
mod service;

const QUERIES: service::Queries = service::Queries {
    find: "SELECT username FROM users WHERE id = $1",
    save: "INSERT INTO users (id, username) VALUES ($1, $2) \
           ON CONFLICT (id) DO UPDATE SET username = excluded.username",
    remove: "DELETE FROM users WHERE id = $1",
    report: "SELECT count(username), pg_sleep($1) FROM users WHERE id <= 100",
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    service::main("1", &QUERIES)
}
