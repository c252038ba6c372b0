/* What a share group was given of one partition and what its members said of it: no record comes again once its end was confirmed,
 * nobody has what another one surely holds, or speaks of it with effect; how often a record was delivered only grows, and no faster than
 * it is delivered; and in the end each was accepted, rejected or delivered as often as it may be. Pure but for the way a violation is
 * told (history.h).
 *
 * What a leader has not written when it ends is forgotten: records that were under way then may come with the same count once more.
 * So counts have to grow only from what was confirmed, and, while nothing befalls the cluster, from what was told. */
#pragma once

#include "history.h"

enum share_fate {
        SHARE_OPEN,   /* nobody has spoken of it, or what was said does not end it */
        SHARE_UNSURE, /* somebody asked for its end, and was told nothing */
        SHARE_ENDED,  /* accepted or rejected, and confirmed */
};

struct share_hold {
        unsigned member;    /* 0: nobody */
        int64_t asked_ns;   /* when it was asked for; the lock is not older */
        int64_t until_ns;   /* surely locked until then */
        uint64_t disturbed; /* what had befallen the cluster by then: more may have taken it away */
};

/* A moment: the world's time, and what has befallen the cluster until then. */
struct share_now {
        int64_t ns;
        uint64_t disturbed;
};

struct share_book {
        const char *group;
        struct history_part *part;
        int deliveries_max; /* of the group */
        bool committed;     /* records of transactions, of which the group is given those that are committed */
        struct share_record {
                enum share_fate fate;
                bool came;                            /* committed: with its bytes */
                int heard;                            /* answers that it came in */
                int deliveries_told, deliveries_most; /* with the last of them; the most */
                int deliveries_sure;                  /* counted, and written: confirmed to who gave it back */
                int64_t told_ns, ended_ns;
                struct share_hold hold;
        } * records;
        int64_t records_room;
        int asked; /* requests that have no answer yet */
        /* When answers were given up that never came; those who asked may have been given something nevertheless. */
        int64_t *unheard;
        int unheard_count, unheard_room;
        int64_t unheard_records; /* that may be in answers of both kinds */
        int64_t start_told;      /* where the group begins, as it was told */
        int64_t end;             /* up to where the group is through; 0: nowhere yet */
};

struct share_counts {
        uint64_t acquired, redelivered, committed; /* records; again; of transactions */
        uint64_t accepted, released, rejected, gaps, renewed;
        uint64_t mixed, with_fetch;     /* acknowledgements of several types; with a fetch */
        uint64_t refused, unsure, held; /* without an answer; of what was surely held */
        uint64_t given_up, deaths, closes, misused;
};
extern struct share_counts share_counts;

/* Good until share_books_reset(). */
struct share_book *share_book_new(const char *group, struct history_part *p, int deliveries_max);
void share_books_reset(void);

/* A committed record has come with its bytes. */
void share_book_came(struct share_book *b, int64_t offset);
/* A member got @first to @last for the @deliveries-th time; @hold as above. */
void share_book_acquired(struct share_book *b, int64_t first, int64_t last, int deliveries,
                         const struct share_hold *hold, struct share_now now);
/* Up to @records_max records are asked for. */
void share_book_asked(struct share_book *b, int64_t records_max);
/* The answer has come, or is not waited for any longer: then they may have been delivered nevertheless, also a while later by a node
 * that hangs. */
void share_book_answered(struct share_book *b, int64_t records_max);
void share_book_unheard(struct share_book *b, struct share_now now);
/* Member @member holds none of these any more, as far as it knows. */
void share_book_let_go(struct share_book *b, unsigned member, int64_t first, int64_t last);
void share_book_let_all_go(struct share_book *b, unsigned member);
/* Until when @member surely holds @offset, if nothing else than @disturbed befalls the cluster; 0: it may not hold it. */
int64_t share_book_held_until(const struct share_book *b, unsigned member, int64_t offset, uint64_t disturbed);
/* The end of a record is asked for. */
void share_book_asks(struct share_book *b, int64_t offset);
/* What @member said of a record since @asked_ns was confirmed; also, that it ends it, gives it back after it was delivered
 * @deliveries times, or prolongs its time up to @until_ns. */
void share_book_confirmed(struct share_book *b, unsigned member, int64_t offset, int64_t asked_ns,
                          struct share_now now);
void share_book_ended(struct share_book *b, int64_t offset, struct share_now now);
void share_book_released(struct share_book *b, int64_t offset, int deliveries);
void share_book_renewed(struct share_book *b, unsigned member, int64_t offset, int64_t until_ns);
/* A record whose end was confirmed, or that somebody else than @member surely holds; -1: there is none at or behind @from. */
int64_t share_book_some_ended(const struct share_book *b, int64_t from);
int64_t share_book_some_held(const struct share_book *b, unsigned member, int64_t from, struct share_now now);
/* Where the group begins, in an answer to who asked when @before had been told. */
void share_book_start(struct share_book *b, int64_t before, int64_t start);
/* The group is through, up to @end. Of committed records that there are share_books_found() is told afterwards. */
void share_book_finish(struct share_book *b, int64_t end);
void share_books_found(struct history_part *p, int64_t offset);
