/* One task and everybody who may touch it: NW workers, each with any number of claims and each at
   any speed, upkeep, and users who cancel and retry. Checked with spin: test_spin.py.

   A move is atomic, as a script is. Time is left out: a lease may run out, and a task may become
   due, at any moment. A worker may be stopped between any two of its moves, for as long as it
   takes the others to do all of theirs (a zombie); and a report of an outcome may be sent again,
   because its answer got lost.

   What goes wrong without the fence:
   -DUNFENCED       every report is let in
   -DSTATUS_ONLY    only while the task is RUNNING
   -DATTEMPT_ONLY   and with the number of its attempt, but whatever the nonce of the claim: as
                    good, unless a store that was restored or failed over has forgotten a claim
   -DFORGETFUL      such a store
*/

#define NW 2
#ifndef CLAIMS
#define CLAIMS 3      /* of the task in its life: bounds the search */
#endif
#define MAX_FAILED 2  /* failures that end it */
#define MAX_LOST 2    /* workers that it may lose */
#define RETRIES 1     /* times that an operator puts it back */

mtype = { SCHEDULED, QUEUED, RUNNING, RETRYING, COMPLETED, FAILED, CANCELLED };

/* What the store has. */
mtype state = SCHEDULED;
byte attempt = 0, nonce = 0;      /* of the claim that is good; nonce 0: there is none */
byte failed = 0, lost = 0;
bool cancel = false;

/* What only the model knows. */
byte nonces = 0;                  /* given so far; each is given once */
byte holder = 0;                  /* the nonce of the claim that may report; 0: none */
byte recorded = 0;                /* outcomes since the task was last put on its queue */
byte retries = 0;
bool stolen = false;              /* a report was let in that was not the holder's */
bool revived = false;             /* an ended task changed other than by an operator */

#define ended (state == COMPLETED || state == FAILED || state == CANCELLED)

#if defined(UNFENCED)
#define held(a, n) (true)
#elif defined(STATUS_ONLY)
#define held(a, n) (state == RUNNING)
#elif defined(ATTEMPT_ONLY)
#define held(a, n) (state == RUNNING && attempt == a)
#else
#define held(a, n) (state == RUNNING && attempt == a && nonce == n)
#endif

/* Every move to a terminal state, and every report of a worker, goes through these. */
inline end(s) {
  revived = revived || ended;
  state = s; recorded++; holder = 0;
}
inline wait(s) { revived = revived || ended; state = s; holder = 0 }
inline report(n) { stolen = stolen || holder != n }

proctype Worker() {
  byte a, n;
  do
  :: atomic { state == QUEUED && nonces < CLAIMS ->
       nonces++; attempt++; nonce = nonces; holder = nonce; state = RUNNING; a = attempt; n = nonce }
     do
     :: atomic { held(a, n) -> report(n) }                /* renew, progress, append */
     :: atomic { !held(a, n) -> break }                   /* told that the claim is lost */
     :: atomic { held(a, n) -> report(n); end(COMPLETED) }
     :: atomic { held(a, n) -> report(n); failed++;
          if
          :: cancel -> end(CANCELLED)
          :: !cancel && failed < MAX_FAILED -> wait(RETRYING)
          :: !cancel && failed >= MAX_FAILED -> end(FAILED)
          fi }
     :: atomic { held(a, n) -> report(n);                 /* release: it shuts down */
          if
          :: cancel -> end(CANCELLED)
          :: !cancel -> nonce = 0; wait(QUEUED)
          fi }
     :: break                                             /* killed: it forgets everything */
     od
  :: ended && retries == RETRIES -> break
  :: nonces == CLAIMS && state != RUNNING -> break        /* the bound of the search */
  od
}

active proctype Upkeep() {
  do
  :: atomic { state == SCHEDULED || state == RETRYING -> wait(QUEUED) }    /* promote */
  :: atomic { state == RUNNING -> nonce = 0; lost++;                       /* reclaim */
       if
       :: cancel -> end(CANCELLED)
       :: !cancel && lost >= MAX_LOST -> end(FAILED)
       :: !cancel && lost < MAX_LOST -> wait(RETRYING)
       fi }
  :: atomic { state == QUEUED && nonces == CLAIMS -> end(FAILED) }         /* queue_timeout */
  :: ended && retries == RETRIES -> break
  od
}

active proctype Caller() {
  if
  :: atomic { state == SCHEDULED || state == QUEUED || state == RETRYING -> end(CANCELLED) }
  :: atomic { state == RUNNING -> cancel = true }
  :: skip
  fi
}

active proctype Operator() {
  do
  :: atomic { ended && retries < RETRIES ->
       retries++; failed = 0; lost = 0; cancel = false; recorded = 0; state = QUEUED }
  :: retries == RETRIES -> break
  od
}

#ifdef FORGETFUL
/* The replica that takes over had not heard of the latest claim: its task still waits. */
active proctype Failover() {
  if
  :: atomic { state == RUNNING -> attempt--; nonce = 0; holder = 0; state = QUEUED }
  :: skip
  fi
}
#endif

init { atomic { byte i; for (i : 1 .. NW) { run Worker() } } }

ltl once    { [] (recorded <= 1) }        /* at most one outcome is ever recorded */
ltl nosteal { [] !stolen }                /* and only by who holds the claim */
ltl final   { [] !revived }               /* a terminal state never changes by itself */
ltl done    { <> [] ended }               /* an accepted task ends */
