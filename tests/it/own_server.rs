//! Servers of a test's own, from the binaries of the test server.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{ask, attach, server};

/// A server that is stopped at the end.
pub struct Server {
    bin: PathBuf,
    data: PathBuf,
    pub port: u16,
    options: String,
    runs: bool,
}

/// Runs a program of the server's: it refuses to run as root.
pub fn run(folder: &Path, program: &Path, arguments: &[&str]) {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    });
    let mut command = if root {
        let mut command = Command::new("runuser");
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let known = users.lines().any(|line| line.starts_with("postgres:"));
        command.args(["-u", if known { "postgres" } else { "nobody" }, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    let log = std::fs::File::create(folder.join("log")).expect("a log");
    let status = command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .status()
        .expect("it starts");
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    assert!(status.success(), "{}: {log}", program.display());
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Server {
    pub fn start(bin: &Path, data: &Path, options: &str) -> Self {
        let (bin, data, options) = (bin.to_owned(), data.to_owned(), options.to_owned());
        let mut server = Self { bin, data, port: free_port(), options, runs: false };
        server.start_again();
        server
    }

    pub fn start_again(&mut self) {
        let (port, folder) = (self.port, self.data.display());
        let options = format!(
            "-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off {}",
            self.options
        );
        let path = folder.to_string();
        let log = self.data.join("server.log").display().to_string();
        let arguments = ["-D", &path, "-l", &log, "-w", "-t", "60", "-o", &options, "start"];
        run(self.data.parent().expect("a folder"), &self.bin.join("pg_ctl"), &arguments);
        self.runs = true;
    }

    /// As a crash does it.
    pub fn stop(&mut self) {
        let path = self.data.display().to_string();
        let folder = self.data.parent().expect("a folder");
        run(folder, &self.bin.join("pg_ctl"), &["-D", &path, "-m", "immediate", "-w", "stop"]);
        self.runs = false;
    }

    pub fn folder(&self) -> &Path {
        &self.data
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.runs {
            self.stop();
        }
    }
}

/// Whether it can count the statements that run.
pub async fn counts() -> bool {
    let mut test = attach(&server(), "test").await.client;
    let there =
        "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements')";
    ask(&mut *test, there).await == "true"
}

/// The server's programs, and a folder with the data of a new one in `one`. Nothing where the test
/// server is elsewhere, or was installed without its programs.
pub async fn fresh() -> Option<(PathBuf, tempfile::TempDir)> {
    let mut test = attach(&server(), "test").await.client;
    let bin = ask(&mut *test, "SELECT setting FROM pg_config WHERE name = 'BINDIR'").await;
    let bin = PathBuf::from(bin);
    if !bin.join("pg_basebackup").exists() {
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).expect("open to the server's user");
    let one = folder.path().join("one").display().to_string();
    let create = ["-D", &one, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"];
    run(folder.path(), &bin.join("initdb"), &create);
    Some((bin, folder))
}
