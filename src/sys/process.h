/* The end of the process. The simulator, where several nodes share one, ends the node that asks. */
#pragma once

#include <stdbool.h>

/* End at once, as if killed: nothing is flushed, nobody is waited for. For a node that must not go on, after the diag line
 * that says why. @status: the exit status; 70 (EX_SOFTWARE) when what the node relied on is not certain any more, so that
 * only a new start can find out. Any thread. */
_Noreturn void process_end(int status);

/* From now on no core dump of this process is made, and no other process of the same user may look into it: keys and records are in
 * its memory. For the program, before it reads secrets. */
void process_hide(void);

/* Does somebody sit at a terminal that this process reads from? */
bool process_has_terminal(void);
