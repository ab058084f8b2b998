/* A disk between Jumelle and the real one, for tests: LD_PRELOADed into the server, built by tests/disk/__init__.py.
 *
 * It records every change below JUMELLE_DISK_DIR, in order, in the file JUMELLE_DISK_LOG, so that `disk.cut` can make the
 * directory that a power cut would have left; and it makes calls fail, or ends the process, as the rules in the file
 * JUMELLE_DISK_FAULTS say (one a line: `call errno skip path`; read at each call, so a test changes them while the server runs).
 *
 * One lock around each recorded call: the order in the log is the order on the disk.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 65536
#define RULES_MAX 8
#define KILL_BEFORE (-1)
#define KILL_AFTER (-2)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char directory[PATH_MAX];
static size_t directory_len;
static const char *faults;
static int log_fd = -1;
static unsigned char tracked[FDS_MAX];
static char rules_seen[RULES_MAX][256];
static long rules_count[RULES_MAX];

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name);

__attribute__((constructor)) static void start(void) {
    const char *given = getenv("JUMELLE_DISK_DIR");
    if (given && realpath(given, directory)) directory_len = strlen(directory);
    faults = getenv("JUMELLE_DISK_FAULTS");
    const char *log = getenv("JUMELLE_DISK_LOG");
    if (directory_len && log) log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int below(const char *path) {
    return directory_len && path && strncmp(path, directory, directory_len) == 0 &&
           (path[directory_len] == '/' || path[directory_len] == 0);
}

static ssize_t plain_write(int fd, const void *bytes, size_t len) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return real(fd, bytes, len);
}

static void record(char op, const char *path, uint64_t inode, uint64_t a, const void *data, size_t len) {
    if (log_fd < 0) return;
    uint32_t path_len = path ? strlen(path) : 0;
    char header[1 + 4 + 8 + 8 + 8 + PATH_MAX];
    size_t at = 0;
    uint64_t data_len = len;
    header[at++] = op;
    memcpy(header + at, &path_len, 4), at += 4;
    memcpy(header + at, &inode, 8), at += 8;
    memcpy(header + at, &a, 8), at += 8;
    memcpy(header + at, &data_len, 8), at += 8;
    if (path_len) memcpy(header + at, path, path_len), at += path_len;
    plain_write(log_fd, header, at);
    if (len) plain_write(log_fd, data, len);
}

static void path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, PATH_MAX - 1);
    path[len > 0 ? len : 0] = 0;
}

static void die(void) { raise(SIGKILL); }

/* The errno that this call must fail with, 0 for none; KILL_AFTER is left to the caller. */
static int fault(const char *call, const char *path) {
    if (!faults) return 0;
    REAL(int, "open64", const char *, int, ...);
    int fd = real(faults, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    char text[2048];
    ssize_t len = read(fd, text, sizeof text - 1);
    int (*plain_close)(int) = (int (*)(int))dlsym(RTLD_NEXT, "close");
    plain_close(fd);
    text[len > 0 ? len : 0] = 0;
    char *save = 0;
    int n = 0, found = 0;
    for (char *line = strtok_r(text, "\n", &save); line && n < RULES_MAX; line = strtok_r(0, "\n", &save), n++) {
        if (strncmp(rules_seen[n], line, sizeof rules_seen[n] - 1)) {
            strncpy(rules_seen[n], line, sizeof rules_seen[n] - 1);
            rules_count[n] = 0;
        }
        char wanted[32], part[200];
        int number;
        long skip;
        if (sscanf(line, "%31s %d %ld %199s", wanted, &number, &skip, part) != 4) continue;
        if ((strcmp(wanted, "any") && strcmp(wanted, call)) || !strstr(path, part)) continue;
        if (rules_count[n]++ >= skip && !found) found = number;
    }
    if (found == KILL_BEFORE) die();
    return found;
}

static void after(int found) {
    if (found == KILL_AFTER) die();
}

static int is_tracked(int fd) { return fd >= 0 && fd < FDS_MAX && tracked[fd]; }


static int open_any(int at, const char *given, int flags, mode_t mode) {
    REAL(int, "openat64", int, const char *, int, ...);
    char joined[PATH_MAX * 2];
    const char *path = given;
    if (directory_len && given[0] != '/' && at != AT_FDCWD) {
        char base[PATH_MAX];
        path_of(at, base);
        snprintf(joined, sizeof joined, "%s/%s", base, given);
        path = joined;
    }
    if (!below(path)) return real(at, given, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat before;
    int was_there = lstat(path, &before) == 0;
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    int found = writes ? fault(was_there ? "open" : "create", path) : 0;
    int fd = -1;
    if (found > 0) {
        errno = found;
    } else {
        fd = real(at, given, flags, mode);
        if (fd >= 0) {
            struct stat now;
            fstat(fd, &now);
            if (fd < FDS_MAX) tracked[fd] = 1;
            if (!was_there && (flags & O_CREAT)) record('C', path, now.st_ino, 0, 0, 0);
            else record('O', path, now.st_ino, S_ISDIR(now.st_mode), 0, 0);
            if (was_there && (flags & O_TRUNC)) record('T', path, now.st_ino, 0, 0, 0);
        }
        after(found);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }

int open(const char *path, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_any(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_any(at, path, flags, mode); }

int close(int fd) {
    REAL(int, "close", int);
    if (fd >= 0 && fd < FDS_MAX) tracked[fd] = 0;
    return real(fd);
}

static ssize_t write_any(int fd, const void *bytes, size_t len, off_t given, int positioned) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    pthread_mutex_lock(&lock);
    char path[PATH_MAX];
    path_of(fd, path);
    int found = fault("write", path);
    struct stat now;
    fstat(fd, &now);
    off_t offset = positioned ? given : (fcntl(fd, F_GETFL) & O_APPEND) ? now.st_size : lseek(fd, 0, SEEK_CUR);
    ssize_t done = -1;
    /* A full disk takes some of it first; so does one that is cut off in the middle. */
    size_t part = found == ENOSPC || found == KILL_AFTER ? len / 2 : len;
    if (found > 0 && (found != ENOSPC || part == 0)) {
        errno = found;
    } else {
        done = positioned ? real(fd, bytes, part, given) : plain_write(fd, bytes, part);
        if (done > 0) record('W', path, now.st_ino, offset, bytes, done);
        after(found);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t write(int fd, const void *bytes, size_t len) {
    return is_tracked(fd) ? write_any(fd, bytes, len, 0, 0) : plain_write(fd, bytes, len);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    return is_tracked(fd) ? write_any(fd, bytes, len, offset, 1) : real(fd, bytes, len, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (!is_tracked(fd)) return real(fd, parts, count);
    ssize_t total = 0;
    for (int n = 0; n < count; n++) {
        if (!parts[n].iov_len) continue;
        ssize_t done = write_any(fd, parts[n].iov_base, parts[n].iov_len, 0, 0);
        if (done < 0) return total ? total : done;
        total += done;
        if ((size_t)done < parts[n].iov_len) break;
    }
    return total;
}

static int sync_any(int fd, int (*real)(int)) {
    if (!is_tracked(fd)) return real(fd);
    pthread_mutex_lock(&lock);
    char path[PATH_MAX];
    path_of(fd, path);
    int found = fault("sync", path), done = -1;
    if (found > 0) {
        errno = found;
    } else {
        struct stat now;
        fstat(fd, &now);
        /* The log stands for the disk, and the machine stays up: the real one need not be waited for. */
        done = 0;
        record('S', path, now.st_ino, S_ISDIR(now.st_mode), 0, 0);
        after(found);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int fsync(int fd) { REAL(int, "fsync", int); return sync_any(fd, real); }
int fdatasync(int fd) { REAL(int, "fdatasync", int); return sync_any(fd, real); }

int ftruncate64(int fd, off_t len) {
    REAL(int, "ftruncate64", int, off_t);
    if (!is_tracked(fd)) return real(fd, len);
    pthread_mutex_lock(&lock);
    char path[PATH_MAX];
    path_of(fd, path);
    int found = fault("truncate", path), done = -1;
    if (found > 0) errno = found;
    else {
        struct stat now;
        fstat(fd, &now);
        done = real(fd, len);
        if (done == 0) record('T', path, now.st_ino, len, 0, 0);
        after(found);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
int ftruncate(int fd, off_t len) { return ftruncate64(fd, len); }

static int path_change(char op, const char *call, const char *path, const char *to, int (*perform)(const char *, const char *)) {
    pthread_mutex_lock(&lock);
    int found = fault(call, path), done = -1;
    if (found > 0) errno = found;
    else {
        done = perform(path, to);
        if (done == 0) record(op, path, 0, 0, to, to ? strlen(to) : 0);
        after(found);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

static int do_rename(const char *a, const char *b) { REAL(int, "rename", const char *, const char *); return real(a, b); }
static int do_unlink(const char *a, const char *b) { (void)b; REAL(int, "unlink", const char *); return real(a); }
static int do_rmdir(const char *a, const char *b) { (void)b; REAL(int, "rmdir", const char *); return real(a); }
static int do_mkdir(const char *a, const char *b) { (void)b; REAL(int, "mkdir", const char *, mode_t); return real(a, 0777); }

int rename(const char *a, const char *b) { return below(a) ? path_change('R', "rename", a, b, do_rename) : do_rename(a, b); }
int unlink(const char *a) { return below(a) ? path_change('U', "unlink", a, 0, do_unlink) : do_unlink(a, 0); }
int rmdir(const char *a) { return below(a) ? path_change('U', "unlink", a, 0, do_rmdir) : do_rmdir(a, 0); }
int mkdir(const char *a, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    return below(a) ? path_change('M', "mkdir", a, 0, do_mkdir) : real(a, mode);
}
int unlinkat(int at, const char *given, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    char base[PATH_MAX], joined[PATH_MAX * 2];
    if (!directory_len) return real(at, given, flags);
    if (given[0] != '/' && at != AT_FDCWD) {
        path_of(at, base);
        snprintf(joined, sizeof joined, "%s/%s", base, given);
    } else snprintf(joined, sizeof joined, "%s", given);
    if (!below(joined)) return real(at, given, flags);
    return path_change('U', "unlink", joined, 0, flags & AT_REMOVEDIR ? do_rmdir : do_unlink);
}
