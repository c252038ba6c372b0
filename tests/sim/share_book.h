/* What a share group was given of one partition and what its members said of it: no record comes again once its end was confirmed,
 * nobody has what another one surely holds, and in the end each was accepted, rejected or delivered as often as it may be. */
#pragma once

#include "history.h"

enum share_state {
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

struct share_book {
        const char *group;
        struct history_part *part;
        int deliveries_max; /* of the group */
        struct share_record {
                enum share_state state;
                int64_t ended_ns;
                int deliveries; /* most that was told of */
                struct share_hold hold;
        } * records;
        int64_t records_room;
        uint64_t lost;      /* records that may have been delivered in answers that nobody got */
        int64_t start_told; /* where the group begins, as it was told */
};

struct share_counts {
        uint64_t acquired, redelivered, accepted, released, rejected, renewed, refused, unsure, held, given_up,
                deaths; /* held: acknowledgements of what was surely held */
};
extern struct share_counts share_counts;

/* It got @first to @last for the @deliveries-th time; @hold as above, @disturbed by now. */
void share_book_acquired(struct share_book *b, int64_t first, int64_t last, int deliveries,
                         const struct share_hold *hold, uint64_t disturbed);
/* Member @member holds none of these any more, as far as it knows. */
void share_book_let_go(struct share_book *b, unsigned member, int64_t first, int64_t last);
void share_book_let_all_go(struct share_book *b, unsigned member);
/* Until when @member surely holds @first, if nothing else than @disturbed befalls the cluster; 0: it may not hold it. */
int64_t share_book_held_until(const struct share_book *b, unsigned member, int64_t first, uint64_t disturbed);
/* The end of these records is asked for; is confirmed. */
void share_book_asks(struct share_book *b, int64_t first, int64_t last);
void share_book_ended(struct share_book *b, int64_t first, int64_t last);
/* A record whose end was confirmed; -1: there is none at or behind @from. */
int64_t share_book_some_ended(const struct share_book *b, int64_t from);
/* Where the group begins, in an answer to who asked when @before had been told. */
void share_book_start(struct share_book *b, int64_t before, int64_t start);
/* The group is through, up to @end. */
void share_book_finish(struct share_book *b, int64_t end);
