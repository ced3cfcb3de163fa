//! What the kernel knows about another process.

use rustix::process::{Pid, Signal, kill_process};

/// What Linux counts in towards its users, whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Sends `signal` to a process that the caller started and has not waited for.
pub fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("process ids are positive");
    kill_process(pid, signal).expect("the process is a child that was not waited for");
}

/// The most memory it ever had resident, in bytes.
pub fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.expect("Linux tells VmHWM") * 1024
}

/// Processor time used so far by all its threads, in seconds.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
    let after_name = stat.rsplit_once(") ").expect("the name stands in parentheses").1;
    let ticks: u64 = after_name.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("times are numbers")).sum();
    ticks as f64 / TICKS_PER_SECOND
}
