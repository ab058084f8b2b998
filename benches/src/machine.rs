//! What the machine says of itself and of a process. Linux only (`/proc`); elsewhere the figures are absent.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

/// The kernel counts CPU time for `/proc` in ticks of USER_HZ, which is 100 on every architecture that Rust has Linux on.
const TICK: Duration = Duration::from_millis(10);

/// Where the figures were measured.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Logical processors that this process may use.
    pub cores: usize,
    /// Model of the first one.
    pub cpu: String,
    /// Type of the file system that holds the data.
    pub file_system: String,
}

impl Machine {
    /// This machine, with the file system of a directory.
    pub fn of(directory: &Path) -> Machine {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let cpu = cpu.map_or("unknown CPU", |(_, name)| name.trim()).to_owned();
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let file_system = directory.canonicalize().ok().and_then(|path| file_system_of(&mounts, &path));
        Machine { cores, cpu, file_system: file_system.unwrap_or_else(|| "unknown file system".into()) }
    }
}

/// The type of the longest mount point that holds the path; of equally long ones the last mounted.
fn file_system_of(mounts: &str, path: &Path) -> Option<String> {
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let holding = fields.filter(|fields| fields.len() > 2 && path.starts_with(fields[1]));
    holding.max_by_key(|fields| fields[1].len()).map(|fields| fields[2].to_owned())
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// Bytes that it caused to be written to the disk.
    pub written_bytes: u64,
    /// Most memory that it held at once.
    pub memory_bytes_max: u64,
}

impl Usage {
    /// Of a process by its id; zeros where nothing is known of it.
    pub fn of(process: u32) -> Usage {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        Usage {
            cpu: TICK * cpu_ticks(&read("stat")).unwrap_or_default(),
            written_bytes: labelled(&read("io"), "write_bytes:").unwrap_or_default(),
            memory_bytes_max: labelled(&read("status"), "VmHWM:").unwrap_or_default() * 1024,
        }
    }

    /// Of this process.
    pub fn own() -> Usage {
        Usage::of(std::process::id())
    }
}

/// `utime` and `stime`, the 14th and 15th fields of `/proc/PID/stat`; the second one, in brackets, may itself hold blanks.
fn cpu_ticks(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn labelled(text: &str, label: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(label))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_holds_the_path() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmp/disk xfs rw 0 0\n";
        for (path, expected) in [("/home", "ext4"), ("/tmp/x", "tmpfs"), ("/tmp/disk/y", "xfs"), ("/tmpx", "ext4")] {
            assert_eq!(file_system_of(mounts, Path::new(path)).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn cpu_time_is_read_past_a_name_with_brackets() {
        let stat = "12 (a) b) S 1 12 12 0 -1 4194304 900 0 0 0 150 25 0 0 20 0 3 0 100 200 300";
        assert_eq!(cpu_ticks(stat), Some(175));
        assert_eq!(cpu_ticks(""), None);
        assert_eq!(labelled("VmPeak:\t 9 kB\nVmHWM:\t   1234 kB\n", "VmHWM:"), Some(1234));
    }

    #[test]
    fn this_process_has_used_memory() {
        assert!(!cfg!(target_os = "linux") || Usage::own().memory_bytes_max > 0);
    }
}
