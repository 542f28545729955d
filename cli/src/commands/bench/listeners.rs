//! Which process listens on a port of this machine.

use std::collections::HashSet;
use std::path::Path;

/// The state of a socket that listens, in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// The processes that listen on a port, as far as the system lets us see.
pub(super) fn listeners(port: u16) -> Vec<u32> {
    let mut inodes = HashSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        inodes.extend(listening(&std::fs::read_to_string(table).unwrap_or_default(), port));
    }
    let sockets: HashSet<String> = inodes.into_iter().map(|inode| format!("socket:[{inode}]")).collect();
    if sockets.is_empty() {
        return Vec::new();
    }
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| holds(&Path::new("/proc").join(pid.to_string()).join("fd"), &sockets)).collect()
}

/// The inodes of the sockets that listen on a port.
fn listening(table: &str, port: u16) -> Vec<u64> {
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, hex) = fields.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(hex, 16).ok()? == port && *fields.get(3)? == LISTENING;
        is_it.then(|| fields.get(9)?.parse().ok()).flatten()
    };
    table.lines().filter_map(inode).collect()
}

fn holds(files: &Path, sockets: &HashSet<String>) -> bool {
    let mut files = std::fs::read_dir(files).into_iter().flatten().flatten();
    files.any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to.to_str().is_some_and(|to| sockets.contains(to))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_that_listen_on_the_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n\
            \x20  1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1\n\
            \x20  2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1\n";
        assert_eq!(listening(table, 8_080), [4_711]);
        assert!(listening(table, 9).is_empty());
    }

    #[test]
    fn a_port_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(listeners(listener.local_addr().unwrap().port()), [std::process::id()]);
    }
}
