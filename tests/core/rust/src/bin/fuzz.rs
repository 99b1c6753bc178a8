//! The fuzz target: with `--cfg fuzzing` libFuzzer's, which has a `main` of its own; else it tells the stories in the files
//! that it is given, as a finding is looked into.

#![cfg_attr(fuzzing, no_main)]

/// What libFuzzer calls.
///
/// # Safety
/// `data` points to `size` bytes.
#[cfg(fuzzing)]
#[no_mangle]
pub unsafe extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> std::ffi::c_int {
    // An empty story may come with no pointer.
    let story = if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, size) } };
    core_tests::tell(story);
    0
}

#[cfg(not(fuzzing))]
fn main() {
    for path in std::env::args_os().skip(1).map(std::path::PathBuf::from) {
        let story = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for event in core_tests::tell(&story).into_iter().flat_map(|told| told.events) {
            println!("{event}");
        }
    }
}
