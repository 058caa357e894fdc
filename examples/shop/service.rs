//! What both versions of the shop have in common: everything but the queries.
//!
//! ```text
//! GET    /users/7          the name of a user, 404 where there is none
//! PUT    /users/7          the body is the name from now on
//! DELETE /users/7
//! GET    /report?seconds=5 a query that takes its time
//! GET    /health           200 where the database answers what this version asks, else 503
//! GET    /version          {"version": "1", "instance": "blue-1"}
//! ```
//!
//! `SHOP_DATABASE_URL`, `SHOP_LISTEN` and `SHOP_INSTANCE` say where. Nothing here knows of a migration
//! but two lines: its sessions are named `shop@<version>#<instance>`, and it says every second that it lives.

#![expect(clippy::disallowed_methods, clippy::print_stderr, reason = "a program")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

/// What one version asks the database.
pub(crate) struct Queries {
    pub(crate) find: &'static str,
    pub(crate) save: &'static str,
    pub(crate) remove: &'static str,
    pub(crate) report: &'static str,
}

struct Shop {
    version: &'static str,
    instance: String,
    queries: &'static Queries,
    pool: PgPool,
    /// A migration has taken away what this version needs: it must not have traffic.
    fenced: AtomicBool,
}

/// A failure of the database is the server's: 500, and a line on stderr.
struct Failed(sqlx::Error);

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        eprintln!("failed: {}", self.0);
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}

pub(crate) fn main(
    version: &'static str,
    queries: &'static Queries,
) -> Result<(), Box<dyn std::error::Error>> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(serve(version, queries))
}

async fn serve(
    version: &'static str,
    queries: &'static Queries,
) -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("SHOP_DATABASE_URL")?;
    let listen = std::env::var("SHOP_LISTEN")?;
    let instance = std::env::var("SHOP_INSTANCE")?;
    let options: PgConnectOptions = url.parse()?;
    let options = options.application_name(&format!("shop@{version}#{instance}"));
    let pool = PgPoolOptions::new()
        .min_connections(2)
        .max_connections(8)
        .acquire_timeout(Duration::from_secs(5))
        .connect_with(options)
        .await?;
    let fenced = AtomicBool::new(false);
    let shop = Arc::new(Shop { version, instance, queries, pool, fenced });
    let router = Router::new()
        .route("/users/{id}", get(find).put(save).delete(remove))
        .route("/report", get(report))
        .route("/health", get(health))
        .route("/version", get(said))
        .with_state(Arc::clone(&shop));
    let beats = tokio::spawn(beat(Arc::clone(&shop)));
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    eprintln!("shop {version} ({}) serves on {listen}", shop.instance);
    // Open requests are finished; new ones are refused by the system.
    axum::serve(listener, router).with_graceful_shutdown(told_to_stop()).await?;
    beats.abort();
    let goodbye = async {
        shop.tell("SELECT zdmig.goodbye('production', 'shop', $1, $2)").await.ok();
        shop.pool.close().await;
    };
    // A database that is gone is not waited for.
    tokio::time::timeout(Duration::from_secs(10), goodbye).await.ok();
    eprintln!("shop {version} ({}) has stopped", shop.instance);
    Ok(())
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Says every second that this instance lives, and hears when its version must not have traffic.
async fn beat(shop: Arc<Shop>) {
    loop {
        match shop.tell("SELECT zdmig.heartbeat('production', 'shop', $1, $2)::text").await {
            Ok(answer) => shop.fenced.store(answer.starts_with("fenced"), Ordering::Relaxed),
            // There may be no zdmig in this database yet: that is nobody's failure.
            Err(error) => eprintln!("heartbeat: {error}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

impl Shop {
    async fn tell(&self, sql: &'static str) -> Result<String, sqlx::Error> {
        let said: Option<String> = sqlx::query_scalar(sql)
            .bind(self.version)
            .bind(&self.instance)
            .fetch_optional(&self.pool)
            .await?
            .flatten();
        Ok(said.unwrap_or_default())
    }
}

async fn find(State(shop): State<Arc<Shop>>, Path(id): Path<i64>) -> Result<Response, Failed> {
    let found: Option<Option<String>> =
        sqlx::query_scalar(shop.queries.find).bind(id).fetch_optional(&shop.pool).await?;
    Ok(match found {
        Some(Some(name)) => name.into_response(),
        // A user without a name is nothing that this service knows: what should be there is not.
        Some(None) => (StatusCode::INTERNAL_SERVER_ERROR, "a user without a name").into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

async fn save(
    State(shop): State<Arc<Shop>>,
    Path(id): Path<i64>,
    name: String,
) -> Result<StatusCode, Failed> {
    sqlx::query(shop.queries.save).bind(id).bind(name).execute(&shop.pool).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(State(shop): State<Arc<Shop>>, Path(id): Path<i64>) -> Result<StatusCode, Failed> {
    sqlx::query(shop.queries.remove).bind(id).execute(&shop.pool).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(serde::Deserialize)]
struct Takes {
    seconds: f64,
}

async fn report(
    State(shop): State<Arc<Shop>>,
    Query(takes): Query<Takes>,
) -> Result<String, Failed> {
    let row = sqlx::query(shop.queries.report).bind(takes.seconds).fetch_one(&shop.pool).await?;
    let users: i64 = sqlx::Row::try_get(&row, 0)?;
    Ok(users.to_string())
}

/// Asks the database what this version asks it: a connection alone says nothing of the schema.
async fn health(State(shop): State<Arc<Shop>>) -> (StatusCode, String) {
    if shop.fenced.load(Ordering::Relaxed) {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "a migration has left this version behind".into(),
        );
    }
    let answer = sqlx::query(shop.queries.find).bind(0_i64).fetch_optional(&shop.pool).await;
    match answer {
        Ok(_) => (StatusCode::OK, "ok".into()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

async fn said(State(shop): State<Arc<Shop>>) -> Json<serde_json::Value> {
    Json(serde_json::json!({"version": shop.version, "instance": shop.instance}))
}
