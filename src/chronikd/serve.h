/* The program around a node: what it says to the system that it runs on, and what it hears from it. */
#pragma once

#include "conf/conf.h"

/* Run a node until it is told to stop (SIGTERM, SIGINT). Return: the exit status. */
int serve(struct conf *conf);
