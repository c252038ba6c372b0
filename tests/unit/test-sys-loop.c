/* Goal: mail is delivered once and in order whatever thread it comes from, and starves nothing; timers and descriptors
 * fire when they should. Method: real loops, several posting threads, a pipe. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/clock.h"
#include "sys/loop.h"
#include "unit.h"

enum { POSTERS = 4, MAILS = 20000 };

struct letter {
        struct mail mail;
        unsigned from, number;
        struct storm *storm;
};

struct storm {
        struct loop *loop;
        unsigned next[POSTERS]; /* the loop's thread only */
        unsigned got, misordered, elsewhere;
        struct letter *letters;
};

static void on_letter(struct loop *l, struct mail *m)
{
        struct letter *x = container_of(m, struct letter, mail);
        struct storm *s = x->storm;

        s->elsewhere += loop_current() != s->loop;
        s->misordered += x->number != s->next[x->from]++;
        if (++s->got == POSTERS * MAILS)
                loop_stop(l);
}

static void *poster(void *arg)
{
        struct letter *x = arg;

        for (unsigned i = 0; i < MAILS; i++)
                loop_post(x[i].storm->loop, &x[i].mail);
        return NULL;
}

static void test_storm(void)
{
        struct storm s = { 0 };
        pthread_t threads[POSTERS];

        CU_ASSERT_EQUAL_FATAL(loop_new("storm", &s.loop), 0);
        s.letters = calloc(POSTERS * MAILS, sizeof *s.letters);
        for (unsigned i = 0; i < POSTERS * MAILS; i++)
                s.letters[i] =
                        (struct letter){ .mail.fn = on_letter, .from = i / MAILS, .number = i % MAILS, .storm = &s };
        CU_ASSERT_EQUAL_FATAL(loop_start_thread(s.loop), 0);
        for (unsigned i = 0; i < POSTERS; i++)
                pthread_create(&threads[i], NULL, poster, &s.letters[i * MAILS]);
        for (unsigned i = 0; i < POSTERS; i++)
                pthread_join(threads[i], NULL);
        loop_join(s.loop);
        CU_ASSERT_EQUAL(s.got, POSTERS * MAILS);
        CU_ASSERT_EQUAL(s.misordered, 0);
        CU_ASSERT_EQUAL(s.elsewhere, 0);
        loop_free(s.loop);
        free(s.letters);
}

/* ---- mail that posts itself ---- */

struct echo {
        struct mail mail;
        struct loop_timer timer;
        unsigned delivered;
        bool timer_fired, io_fired;
        struct loop_io io;
};

static void on_echo(struct loop *l, struct mail *m)
{
        struct echo *e = container_of(m, struct echo, mail);

        e->delivered++;
        if (e->delivered < 100000000 && !(e->timer_fired && e->io_fired))
                loop_post(l, m);
        else
                loop_stop(l);
}

static void on_echo_timer(struct loop_timer *t)
{
        container_of(t, struct echo, timer)->timer_fired = true;
}

static void on_echo_io(struct loop_io *w, int events)
{
        container_of(w, struct echo, io)->io_fired = true;
        loop_io_set(w, 0);
}

static void test_mail_starves_nothing(void)
{
        struct echo e = { .mail.fn = on_echo };
        struct loop *l;
        int fds[2];

        CU_ASSERT_EQUAL_FATAL(loop_new("echo", &l), 0);
        CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
        CU_ASSERT_EQUAL(write(fds[1], "x", 1), 1);
        loop_timer_init(&e.timer, l, on_echo_timer);
        loop_timer_start(&e.timer, 5);
        loop_io_init(&e.io, l, fds[0], on_echo_io);
        loop_io_set(&e.io, LOOP_READ);
        loop_post(l, &e.mail);
        loop_run(l);
        CU_ASSERT(e.timer_fired);
        CU_ASSERT(e.io_fired);
        CU_ASSERT(e.delivered > 1);
        loop_free(l);
        close(fds[0]);
        close(fds[1]);
}

/* ---- from hand to hand within a turn, and after the others' events ---- */

enum { HOPS = 5 };
static struct {
        struct mail mail, later;
        struct loop_io io;
        int hops, hops_before_io;
        bool io_fired, io_before_later;
} relay;

static void on_hop(struct loop *l, struct mail *m)
{
        if (++relay.hops < HOPS)
                loop_post(l, m);
}

static void on_relay_io(struct loop_io *w, int events)
{
        relay.io_fired = true;
        relay.hops_before_io = relay.hops;
        loop_io_set(w, 0);
}

static void on_later(struct loop *l, struct mail *m)
{
        relay.io_before_later = relay.io_fired;
        loop_stop(l);
}

static void on_relay_begin(struct loop *l, struct mail *m)
{
        m->fn = on_hop;
        loop_post_later(l, &relay.later);
        loop_post(l, m);
}

static void test_turns(void)
{
        struct loop *l;
        int fds[2];

        CU_ASSERT_EQUAL_FATAL(loop_new("relay", &l), 0);
        CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
        CU_ASSERT_EQUAL(write(fds[1], "x", 1), 1);
        relay.mail.fn = on_relay_begin;
        relay.later.fn = on_later;
        loop_io_init(&relay.io, l, fds[0], on_relay_io);
        loop_io_set(&relay.io, LOOP_READ);
        loop_post(l, &relay.mail);
        loop_run(l);
        CU_ASSERT_EQUAL(relay.hops_before_io, HOPS);
        CU_ASSERT(relay.io_before_later);
        loop_free(l);
        close(fds[0]);
        close(fds[1]);
}

/* ---- mail posted before, inside and after a run keeps its order ---- */

struct tale {
        struct mail mails[6];
        char text[8];
        unsigned len;
};
static struct tale tale;

static void on_word(struct loop *l, struct mail *m)
{
        unsigned i = (unsigned)(m - tale.mails);

        tale.text[tale.len++] = (char)('a' + i);
        if (i == 1) {
                loop_post(l, &tale.mails[2]);
                loop_stop(l);
                loop_post(l, &tale.mails[3]);
        }
        if (i == 5)
                loop_stop(l);
}

static void test_order_over_runs(void)
{
        struct loop *l;

        CU_ASSERT_EQUAL_FATAL(loop_new("tale", &l), 0);
        for (int i = 0; i < 6; i++)
                tale.mails[i].fn = on_word;
        loop_post(l, &tale.mails[0]);
        loop_post(l, &tale.mails[1]);
        loop_run(l);
        CU_ASSERT_PTR_NULL(loop_current());
        loop_post(l, &tale.mails[4]);
        loop_post(l, &tale.mails[5]);
        loop_run(l);
        CU_ASSERT_STRING_EQUAL(tale.text, "abcdef");
        loop_free(l);
}

/* ---- timers ---- */

struct alarm_clock {
        struct loop_timer first, second, never;
        int64_t start_ns, first_ms, second_ms;
        bool never_fired;
};

static void on_never(struct loop_timer *t)
{
        container_of(t, struct alarm_clock, never)->never_fired = true;
}

static void on_second(struct loop_timer *t)
{
        struct alarm_clock *a = container_of(t, struct alarm_clock, second);

        a->second_ms = (clock_mono_ns() - a->start_ns) / 1000000;
        loop_stop(t->loop);
}

static void on_first(struct loop_timer *t)
{
        struct alarm_clock *a = container_of(t, struct alarm_clock, first);

        a->first_ms = (clock_mono_ns() - a->start_ns) / 1000000;
        loop_timer_stop(&a->never);
        loop_timer_stop(&a->never); /* harmless */
        usleep(20000);              /* a long turn must not shorten the next timer */
        loop_timer_start(&a->second, 30);
}

static void test_timers(void)
{
        struct alarm_clock a = { 0 };
        struct loop *l;

        CU_ASSERT_EQUAL_FATAL(loop_new("timers", &l), 0);
        usleep(30000); /* the age of the loop does not count either */
        loop_timer_init(&a.first, l, on_first);
        loop_timer_init(&a.second, l, on_second);
        loop_timer_init(&a.never, l, on_never);
        a.start_ns = clock_mono_ns();
        loop_timer_start(&a.first, 20);
        loop_timer_start(&a.never, 40);
        CU_ASSERT(loop_timer_is_active(&a.first));
        CU_ASSERT_FALSE(loop_timer_is_active(&a.second));
        loop_run(l);
        CU_ASSERT(a.first_ms >= 20);
        CU_ASSERT(a.second_ms >= 70);
        CU_ASSERT_FALSE(a.never_fired);
        loop_free(l);
}

/* ---- descriptors ---- */

struct reader {
        struct loop_io io;
        char text[16];
        size_t len;
};

static void on_readable(struct loop_io *w, int events)
{
        struct reader *x = container_of(w, struct reader, io);
        ssize_t n = read(w->ev.fd, x->text + x->len, 1);

        if (n == 1)
                x->len++;
        if (x->len == 3)
                loop_io_set(w, 0);
        if (x->len == 3 || n != 1)
                loop_stop(w->loop);
}

static void test_descriptor_number_reused(void)
{
        struct loop *l;

        CU_ASSERT_EQUAL_FATAL(loop_new("io", &l), 0);
        for (int round = 0; round < 3; round++) {
                struct reader x = { 0 };
                int fds[2];

                CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
                CU_ASSERT_EQUAL(write(fds[1], "abcdef", 6), 6);
                loop_io_init(&x.io, l, fds[0], on_readable);
                loop_io_set(&x.io, LOOP_READ);
                loop_io_set(&x.io, LOOP_READ);
                loop_run(l);
                CU_ASSERT_STRING_EQUAL(x.text, "abc");
                close(fds[0]);
                close(fds[1]);
        }
        loop_free(l);
}

/* ---- patient descriptors ---- */

enum { PATIENTS = 200, PATIENT_ROUNDS = 300 };

struct patient {
        struct loop_io io;
        int fds[2];
        unsigned told;
};

static struct {
        struct patient *all[PATIENTS];
        struct patient hasty;
        struct loop_timer next;
        unsigned round, sent, told, hasty_first;
        bool hasty_told;
} ward;

static void patient_open(struct patient *p, struct loop *l, void (*fn)(struct loop_io *w, int events))
{
        p->told = 0;
        CU_ASSERT_EQUAL_FATAL(pipe(p->fds), 0);
        loop_io_init(&p->io, l, p->fds[0], fn);
        loop_io_set(&p->io, LOOP_READ);
}

static void patient_close(struct patient *p)
{
        loop_io_set(&p->io, 0);
        close(p->fds[0]);
        close(p->fds[1]);
}

static void patient_say(struct patient *p)
{
        CU_ASSERT_EQUAL(write(p->fds[1], "x", 1), 1);
}

static void patient_hear(struct patient *p, int events)
{
        char byte;

        CU_ASSERT_EQUAL(events, LOOP_READ);
        CU_ASSERT_EQUAL(read(p->fds[0], &byte, 1), 1);
        p->told++;
}

static void ward_go_on(void)
{
        if (ward.told == ward.sent && ward.hasty_told)
                loop_timer_start(&ward.next, 0);
}

static void on_hasty(struct loop_io *w, int events)
{
        patient_hear(&ward.hasty, events);
        ward.hasty_told = true;
        ward.hasty_first += ward.told < ward.sent;
        ward_go_on();
}

static void on_patient(struct loop_io *w, int events)
{
        patient_hear(container_of(w, struct patient, io), events);
        ward.told++;
        ward_go_on();
}

static void on_round(struct loop_timer *t)
{
        if (++ward.round > PATIENT_ROUNDS) {
                loop_stop(t->loop);
                return;
        }
        ward.sent += PATIENTS;
        ward.hasty_told = false;
        for (unsigned i = 0; i < PATIENTS; i++)
                patient_say(ward.all[i]);
        patient_say(&ward.hasty);
}

/* More of them than one look takes say something at once, and then one that is not patient: none is lost, and when they come often
 * the latter does not wait for them. */
static void test_patient_descriptors(void)
{
        struct loop *l;

        memset(&ward, 0, sizeof ward);
        CU_ASSERT_EQUAL_FATAL(loop_new("patient", &l), 0);
        for (unsigned i = 0; i < PATIENTS; i++) {
                ward.all[i] = malloc(sizeof *ward.all[i]);
                patient_open(ward.all[i], l, on_patient);
                loop_io_set_patient(&ward.all[i]->io, true);
        }
        patient_open(&ward.hasty, l, on_hasty);
        loop_timer_init(&ward.next, l, on_round);
        loop_timer_start(&ward.next, 0);
        loop_run(l);
        for (unsigned i = 0; i < PATIENTS; i++) {
                CU_ASSERT_EQUAL(ward.all[i]->told, PATIENT_ROUNDS);
                patient_close(ward.all[i]);
                free(ward.all[i]);
        }
        CU_ASSERT_EQUAL(ward.hasty.told, PATIENT_ROUNDS);
        CU_ASSERT(ward.hasty_first > 0);
        patient_close(&ward.hasty);
        loop_free(l);
}

/* The first one that is told ends all others, which have something to tell, too. */
static void on_last_patient(struct loop_io *w, int events)
{
        for (unsigned i = 0; i < PATIENTS; i++)
                if (&ward.all[i]->io != w) {
                        patient_close(ward.all[i]);
                        memset(ward.all[i], 0xff, sizeof *ward.all[i]); /* who looks at it still, crashes */
                        free(ward.all[i]);
                        ward.all[i] = container_of(w, struct patient, io);
                }
        patient_hear(container_of(w, struct patient, io), events);
        loop_io_set(w, 0);
        loop_timer_start(&ward.next, 5 * LOOP_PATIENCE_MS);
}

static void on_quiet(struct loop_timer *t)
{
        loop_stop(t->loop);
}

/* Nobody is told of one that is gone, or that is watched for nothing; what it had to tell is told when it is watched again, patient or not. */
static void test_patients_leave(void)
{
        struct patient *last;
        struct loop *l;

        memset(&ward, 0, sizeof ward);
        CU_ASSERT_EQUAL_FATAL(loop_new("patient", &l), 0);
        for (unsigned i = 0; i < PATIENTS; i++) {
                ward.all[i] = malloc(sizeof *ward.all[i]);
                patient_open(ward.all[i], l, on_last_patient);
                loop_io_set_patient(&ward.all[i]->io, true);
                for (int k = 0; k < 3; k++)
                        patient_say(ward.all[i]);
        }
        loop_timer_init(&ward.next, l, on_quiet);
        loop_run(l);
        last = ward.all[0];
        CU_ASSERT_EQUAL(last->told, 1);
        loop_io_set(&last->io, LOOP_READ);
        loop_run(l);
        CU_ASSERT_EQUAL(last->told, 2);
        loop_io_set_patient(&last->io, false);
        loop_io_set(&last->io, LOOP_READ);
        loop_run(l);
        CU_ASSERT_EQUAL(last->told, 3);
        CU_ASSERT_FALSE(last->io.patient);
        patient_close(last);
        free(last);
        loop_free(l);
}

static void on_file(struct loop_io *w, int events)
{
        CU_ASSERT_EQUAL(events, LOOP_READ);
        CU_ASSERT_FALSE(w->patient);
        loop_io_set(w, 0);
        loop_stop(w->loop);
}

/* The kernel refuses to watch a file; libev takes it for one that is always readable. */
static void test_patience_refused(void)
{
        struct loop_io io;
        int fd = memfd_create("patient", MFD_CLOEXEC);
        struct loop *l;

        CU_ASSERT_FATAL(fd >= 0);
        CU_ASSERT_EQUAL_FATAL(loop_new("patient", &l), 0);
        loop_io_init(&io, l, fd, on_file);
        loop_io_set_patient(&io, true);
        loop_io_set(&io, LOOP_READ);
        loop_run(l);
        loop_io_set_patient(&io, true);
        loop_io_set_patient(&io, false);
        close(fd);
        loop_free(l);
}

/* ---- signals and threads ---- */

static void on_signal(struct loop_signal *s, int signo)
{
        CU_ASSERT_EQUAL(signo, SIGUSR1);
        loop_stop(s->loop);
}

static void test_signal_reaches_main_loop(void)
{
        struct loop_signal s = { 0 };
        struct loop *l, *other;

        loop_signal_stop(&s); /* not started: harmless */
        CU_ASSERT_EQUAL_FATAL(loop_new("main", &l), 0);
        CU_ASSERT_EQUAL_FATAL(loop_new("other", &other), 0);
        loop_signal_start(&s, l, SIGUSR1, on_signal);
        CU_ASSERT_EQUAL_FATAL(loop_start_thread(other), 0);
        kill(getpid(), SIGUSR1);
        loop_run(l);
        loop_signal_stop(&s);
        loop_stop(other);
        loop_join(other);
        loop_free(other);
        loop_free(l);
        CU_ASSERT_PTR_NULL(loop_free(NULL));
}

/* ---- signs of life ---- */

struct hanging {
        struct mail mail;
        atomic_bool hangs, go;
};

static void hang(struct loop *l, struct mail *m)
{
        struct hanging *h = container_of(m, struct hanging, mail);

        (void)l;
        atomic_store(&h->hangs, true);
        while (!atomic_load(&h->go))
                usleep(100);
        atomic_store(&h->hangs, false);
}

/* Until every loop has answered; 0 when none does in ten seconds. */
static bool all_answer(void)
{
        char name[LOOP_NAME_SIZE];

        (void)loops_silent_ms(name); /* asks */
        for (int i = 0; i < 100000; i++) {
                usleep(100);
                if (!loops_silent_ms(name) && !name[0])
                        return true;
        }
        return false;
}

static void test_signs_of_life(void)
{
        struct hanging h = { .mail.fn = hang };
        struct loop *idle, *busy, *gone;
        char name[LOOP_NAME_SIZE];

        CU_ASSERT_EQUAL_FATAL(loop_new("idle", &idle), 0);
        CU_ASSERT_EQUAL_FATAL(loop_new("busy", &busy), 0);
        CU_ASSERT_EQUAL_FATAL(loop_new("gone", &gone), 0); /* never runs, so it owes nothing */
        CU_ASSERT_EQUAL_FATAL(loop_start_thread(idle), 0);
        CU_ASSERT_EQUAL_FATAL(loop_start_thread(busy), 0);
        CU_ASSERT(all_answer());
        loop_post(busy, &h.mail);
        while (!atomic_load(&h.hangs))
                usleep(100);
        (void)loops_silent_ms(name);
        usleep(60000);
        CU_ASSERT(loops_silent_ms(name) >= 50);
        CU_ASSERT_STRING_EQUAL(name, "busy");
        atomic_store(&h.go, true);
        CU_ASSERT(all_answer());
        loop_stop(busy);
        loop_join(busy);
        loop_stop(idle);
        loop_join(idle);
        CU_ASSERT_EQUAL(loops_silent_ms(name), 0);
        loop_free(busy);
        loop_free(idle);
        loop_free(gone);
}

static const struct unit_case cases[] = {
        { "a storm of mail arrives once and in order", test_storm },
        { "mail that posts mail starves nothing", test_mail_starves_nothing },
        { "mail from hand to hand, and mail for later", test_turns },
        { "order holds before, inside and after a run", test_order_over_runs },
        { "timers never fire early", test_timers },
        { "a reused descriptor number is watched", test_descriptor_number_reused },
        { "patient descriptors are told of, others do not wait for them", test_patient_descriptors },
        { "patient descriptors that leave", test_patients_leave },
        { "patience that the kernel refuses", test_patience_refused },
        { "signals reach the main loop", test_signal_reaches_main_loop },
        { "a loop that hangs is known, and the others are not blamed", test_signs_of_life },
};
UNIT_MAIN("sys/loop", cases)
