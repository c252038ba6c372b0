"""The rules as tables. Each row says why it is there; an exception that nothing needs any more is a failure too."""

# Folders of src/ in their order: a folder includes only folders to its left.
ORDER = ("base sys obs conf wire net peer plog object tier raft meta security quorum replica coord share controller handler "
         "chronikd ctl").split()

# (functions, folders of src/ that may call them, why and what instead)
FORBIDDEN = [
    ("strcpy stpcpy strcat sprintf vsprintf gets", "",
     "writes without a bound; snprintf(), strbuf_printf(), or memcpy() with a length that was checked"),
    ("strncpy strncat", "",
     "leaves text without its NUL or counts the wrong thing; snprintf() or memcpy()"),
    ("strtok asctime ctime localtime gmtime readdir_r strsignal getpwnam gethostbyname", "",
     "keeps its result in hidden memory that all threads share; the _r variant, or sys/"),
    ("atoi atol atoll atof", "",
     "a mistake reads as 0 and too large is undefined; strtoll() with its end checked, or conf/row.h"),
    ("alloca strdupa", "",
     "grows the stack by what somebody else says; an arena or malloc()"),
    ("system popen wordexp", "",
     "a shell reads what it is given as a program"),
    ("setjmp longjmp sigsetjmp siglongjmp", "",
     "leaves functions without their CLEANUP()"),
    ("rand srand random srandom drand48 getrandom getentropy arc4random RAND_bytes", "sys",
     "chance comes from sys/clock.h, so that the simulator can seed it"),
    ("clock_gettime gettimeofday time clock", "sys",
     "time comes from sys/clock.h, so that the simulator can move it"),
    ("sleep usleep nanosleep clock_nanosleep poll select epoll_wait", "sys",
     "waiting is the loop's; a sleeping thread serves nobody (sys/loop.h)"),
    ("open openat creat close dup dup2 fcntl ioctl read write pread pwrite readv writev preadv pwritev preadv2 pwritev2 lseek "
     "mmap munmap ftruncate truncate fallocate posix_fallocate posix_fadvise flock unlink unlinkat rename renameat mkdir "
     "mkdirat rmdir stat fstat fstatat lstat access opendir readdir statvfs fstatvfs fopen fdopen tmpfile mkstemp", "sys",
     "files are reached through sys/file.h, so that the simulator can fail them and EINTR is handled in one place"),
    ("fsync fdatasync sync syncfs sync_file_range msync", "sys",
     "what is on stable storage is decided in one place: sys/file.h, called from the I/O pool"),
    ("socket socketpair bind listen accept accept4 connect shutdown send sendto sendmsg recv recvfrom recvmsg sendfile splice "
     "setsockopt getsockopt getaddrinfo getnameinfo pipe pipe2 eventfd", "sys",
     "sockets are reached through sys/sock.h, so that the simulator can cut and delay them"),
    ("pthread_create fork vfork clone execv execve execvp execl execlp posix_spawn", "sys",
     "threads belong to loops and to the I/O pool"),
    ("signal sigaction sigprocmask pthread_sigmask", "sys chronikd",
     "signals are the program's matter"),
    ("exit _exit abort quick_exit", "base chronikd ctl",
     "only the program ends the process; below it an error is passed up"),
    ("printf vprintf puts putchar fprintf vfprintf fputs fputc perror syslog", "sys chronikd ctl",
     "words for people go through sys/diag.h, and answers through their caller"),
]

# (path below src/, function, why this one is right)
FORBIDDEN_EXCEPT = [
    ("conf/conf.c", "fopen", "the configuration is read once, before there is a loop"),
    ("sys/process.c", "_exit", "what process_end() is"),
]

# (header of a library, folders of src/ that may include it): how a library is used is known in one place.
LIBRARY_HOMES = [
    ("ev.h", "sys"),
    ("systemd/*", "sys"),
    ("yaml.h", "conf"),
    ("zstd*.h", "wire tier"),
    ("lz4*.h", "wire"),
    ("snappy-c.h", "wire"),
    ("zlib.h", "wire"),
    ("lmdb.h", "meta"),
    ("microhttpd.h", "obs"),
    ("curl/*", "object ctl obs security"),
    ("expat.h", "object"),
    ("openssl/*", "sys net plog object security ctl"),
    ("sys/random.h", "sys"),
    ("sys/socket.h", "sys"),
    ("sys/sendfile.h", "sys"),
    ("dirent.h", "sys"),
]

# Kafka's error codes exist in these folders only; everything below has outcomes of its own.
KAFKA_CODES = "wire handler"

# Last words of functions that CONTRIBUTING.md gives one meaning, so that a header need not say it again.
UNDERSTOOD = "init fini free ref unref"

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 80
# (path, why it may be longer)
LONG_EXCEPT = [
]

# (path, why tabs are right there)
TABS_ALLOWED = [
    ("Makefile", "make wants them before commands"),
    ("*.go", "gofmt"),
    ("go.mod", "gofmt"),
]

# Files whose bytes are data and not text to be tidied.
DATA = ["tests/data/*", "tests/*/corpus/*", "*/golden/*"]
