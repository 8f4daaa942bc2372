/* What a host in C may do to its process, on request: put SIGPIPE back to its default (SIGUSR1), and fork without
 * exec on the thread that takes the signal, with both going on (SIGUSR2). Rust's main ignores SIGPIPE, and safe Rust
 * can neither undo that nor fork, so .ci/embedding.sh preloads this into an example. */
#include <signal.h>
#include <unistd.h>

static void on_signal(int number) {
    if (number == SIGUSR1)
        signal(SIGPIPE, SIG_DFL);
    else
        fork();
}

__attribute__((constructor)) static void install(void) {
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigaction(SIGUSR1, &action, 0);
    sigaction(SIGUSR2, &action, 0);
}
