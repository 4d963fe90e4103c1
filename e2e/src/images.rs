//! The images that a cluster is given, built from this workspace and from the
//! machine's own programs. Nothing is pulled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::cache;
use crate::command::{command, output};
use crate::image::{Config, Entry, write_archive};

/// The sandbox of every pod.
pub(crate) const PAUSE: &str = "tidegate.dev/pause:1";
/// A shell with the usual small programs, for Jobs, hooks and looking around.
/// Debian's build of it crashes in `wget -T`: leave the timeout to the test.
pub(crate) const BUSYBOX: &str = "tidegate.dev/busybox:1";
/// The versions of the test application: `tidegate.dev/app:v1` and so on.
pub(crate) const APP: &str = "tidegate.dev/app";
pub(crate) const APP_VERSIONS: [&str; 6] = ["v1", "v2", "v3", "v4", "v5", "v6"];
/// The user of images that need none in particular.
const NOBODY: &str = "65532:65532";

/// Where Debian, and every distroless base, keeps the certificate authorities.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Archives, ready to be imported.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    pub(crate) archives: Vec<PathBuf>,
}

/// The image of Tidegate itself.
#[derive(Clone, Debug)]
pub(crate) struct TidegateImage {
    /// The program itself, which is the kubectl plugin as well.
    pub(crate) program: PathBuf,
    pub(crate) archive: PathBuf,
    pub(crate) repository: String,
    pub(crate) tag: String,
}

impl Images {
    /// Builds the test application and writes the archives that are not there yet.
    pub(crate) fn build() -> Result<Self> {
        Ok(Self { archives: vec![app()?, busybox()?] })
    }
}

/// The application in all its versions, and the pause image, which is the same
/// program told to wait.
fn app() -> Result<PathBuf> {
    let target = host_target()?;
    let program =
        cargo_build("app", &["--target", &target], &[("RUSTFLAGS", "-C target-feature=+crt-static")])?;
    let bytes = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    let mut configs = vec![Config {
        tag: PAUSE.to_owned(),
        entrypoint: vec!["/app".to_owned(), "pause".to_owned()],
        env: Vec::new(),
        user: NOBODY.to_owned(),
    }];
    configs.extend(APP_VERSIONS.iter().map(|version| Config {
        tag: format!("{APP}:{version}"),
        entrypoint: vec!["/app".to_owned()],
        env: vec![format!("VERSION={version}")],
        user: NOBODY.to_owned(),
    }));
    let key = cache::key_of_bytes(&bytes);
    archive("app", &key, &[Entry::File { path: "app".to_owned(), mode: 0o755, bytes }], &configs)
}

/// Debian's static busybox with a link for each of its programs.
fn busybox() -> Result<PathBuf> {
    let program = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| Path::new(path).is_file())
        .context("busybox is missing: apt-get install -y busybox-static")?;
    let applets = output(&mut command(program, &["--list"]))?;
    let bytes = fs::read(program)?;
    let key = cache::key_of_bytes(&bytes);
    let mut entries = vec![Entry::File { path: "bin/busybox".to_owned(), mode: 0o755, bytes }];
    entries.extend(
        applets
            .lines()
            .filter(|applet| *applet != "busybox")
            .map(|applet| Entry::Link { path: format!("bin/{applet}"), target: "busybox".to_owned() }),
    );
    entries.push(Entry::Scratch { path: "tmp".to_owned() });
    let config = Config {
        tag: BUSYBOX.to_owned(),
        entrypoint: Vec::new(),
        env: vec!["PATH=/bin".to_owned()],
        user: NOBODY.to_owned(),
    };
    archive("busybox", &key, &entries, &[config])
}

/// Tidegate's own binary, as cargo builds it for the tests, with the few shared
/// libraries it is linked to and the certificate authorities that its real image
/// has from its base: no client of https starts without any. Its tag is its content, so that a new build is a
/// new image.
pub(crate) fn tidegate() -> Result<TidegateImage> {
    let program = tidegate_program()?;
    let bytes = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    let authorities = fs::read(AUTHORITIES)
        .with_context(|| format!("cannot read {AUTHORITIES}: apt-get install -y ca-certificates"))?;
    let tag = cache::key_of_bytes(&[bytes.as_slice(), &authorities].concat());
    let mut entries = vec![
        Entry::File { path: "usr/local/bin/tidegate".to_owned(), mode: 0o755, bytes },
        Entry::File { path: AUTHORITIES.trim_start_matches('/').to_owned(), mode: 0o644, bytes: authorities },
    ];
    for library in shared_libraries(&program)? {
        let bytes = fs::read(&library).with_context(|| format!("cannot read {library}"))?;
        entries.push(Entry::File { path: library.trim_start_matches('/').to_owned(), mode: 0o755, bytes });
    }
    entries.push(Entry::Scratch { path: "tmp".to_owned() });
    let repository = "tidegate.dev/tidegate".to_owned();
    let config = Config {
        tag: format!("{repository}:{tag}"),
        entrypoint: vec!["/usr/local/bin/tidegate".to_owned()],
        env: vec!["PATH=/usr/local/bin".to_owned()],
        user: NOBODY.to_owned(),
    };
    let archive = archive("tidegate", &tag, &entries, &[config])?;
    Ok(TidegateImage { program, archive, repository, tag })
}

/// Tidegate's own binary, as cargo builds it for the tests.
pub(crate) fn tidegate_program() -> Result<PathBuf> {
    cargo_build("tidegate", &[], &[])
}

/// Writes an archive unless it is there; older ones of that name are removed.
fn archive(name: &str, key: &str, entries: &[Entry], configs: &[Config]) -> Result<PathBuf> {
    let dir = cache::dir()?.join("images");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let words: Vec<&str> = configs.iter().map(|config| config.tag.as_str()).collect();
    let names = cache::key_of_bytes(words.join(" ").as_bytes());
    let path = dir.join(format!("{name}-{key}-{names}.tar"));
    let _lock = cache::lock("images")?;
    if path.is_file() {
        return Ok(path);
    }
    for entry in fs::read_dir(&dir)? {
        let old = entry?.path();
        if old.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&format!("{name}-"))) {
            fs::remove_file(&old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    write_archive(&path, entries, configs)?;
    Ok(path)
}

/// Builds a package's program with cargo and returns where it is.
fn cargo_build(package: &str, args: &[&str], env: &[(&str, &str)]) -> Result<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut build =
        command(cargo, &["build", "--quiet", "--bin", package, "--message-format=json-render-diagnostics"]);
    build.args(args).envs(env.iter().copied()).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let done = build.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !done.status.success() {
        bail!("cargo build --bin {package} failed");
    }
    let program = String::from_utf8_lossy(&done.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == package)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    program.with_context(|| format!("cargo built no program {package}"))
}

/// The target triple of this machine's toolchain.
fn host_target() -> Result<String> {
    let version = output(&mut command("rustc", &["-vV"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}

/// The shared libraries a program is linked to, the loader among them.
fn shared_libraries(program: &Path) -> Result<Vec<String>> {
    let listing = output(command("ldd", &[]).arg(program))?;
    let mut libraries = Vec::new();
    for line in listing.lines() {
        if line.contains("not found") {
            bail!("{}: shared library missing: {}", program.display(), line.trim());
        }
        // Either `name => /path (address)` or, for the loader, `/path (address)`.
        let path = line.split_whitespace().find(|word| word.starts_with('/'));
        libraries.extend(path.map(str::to_owned));
    }
    Ok(libraries)
}
