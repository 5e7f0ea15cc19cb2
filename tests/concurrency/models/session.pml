/* session.pml: one session record (CAS cell), one user index (fenced), 3 kinds of clients.
 * spin -a session.pml && gcc -O2 -DSAFETY -o pan pan.c && ./pan -E -m200000   (-E: a login that crashes leaves the others waiting)
 * -DNOFENCE  : index add does not check the epoch          -> P_I4 must fail
 * -DUPSERT   : save re-creates a missing record            -> P_I1 must fail
 * -DLATEADD  : index add after the bound save              -> P_I4 must fail
 * -DCLEARFIRST: destroy_all empties the index before it deletes, and may crash between -> P_I4 must fail
 * -DWHOLE    : save writes the whole record without CAS    -> P_I3 must fail
 */
#define NONE 255
bool live = false;            /* the record exists */
byte ver = 0;                 /* version token */
bool bound = false;           /* record is bound to user u */
byte bep = 0;                 /* epoch stored in the record */
bool ka = false, kb = false;  /* two payload keys */

byte epoch = 1;               /* index cell of user u */
bool member = false;

bool destroyed = false;       /* an acknowledged destroy of the record */
byte fenced = 0;              /* highest epoch an acknowledged destroy_all returned */
bool acka = false, ackb = false;
bool bind_acked = false;
bool created = false;         /* the record was created (once) */
bool shared = false;          /* id known to other clients (login acknowledged) */

/* save: read, then CAS until done; never creates */
inline save(setA, setB, setBound, e, res) {
  byte v; bool sa, sb, sbd, lv; byte sbe;
  res = 0;
  do
  :: atomic { lv = live; v = ver; sa = ka; sb = kb; sbd = bound; sbe = bep }
     if
     :: !lv ->
#ifdef UPSERT
        atomic { live = true; ver++; if :: setA -> ka = true :: else fi; if :: setB -> kb = true :: else fi; res = 1 }
#else
        res = 2
#endif
        break
     :: else ->
        /* the window between load and commit */
#ifdef WHOLE
        atomic { if :: live -> ka = sa || setA; kb = sb || setB; bound = sbd || setBound; ver++; res = 1 :: else -> res = 2 fi }
        break
#else
        atomic {
          if
          :: !live -> res = 2
          :: live && ver == v -> ka = sa || setA; kb = sb || setB;
               if :: setBound -> bound = true; bep = e :: else fi; ver++; res = 1
          :: else -> skip
          fi
        }
        if :: res != 0 -> break :: else -> skip fi
#endif
     fi
  od
}

proctype Login() {
  byte e; byte r; bool ok;
  e = epoch;                                  /* epoch read before the credentials are checked */
  atomic { live = true; created = true; ver = 1 }      /* create: add of a fresh locator, unbound */
  if :: skip :: goto dead fi;                 /* crash */
#ifndef LATEADD
  atomic {
    if
#ifdef NOFENCE
    :: member = true; ok = true
#else
    :: epoch == e -> member = true; ok = true
    :: else -> ok = false
#endif
    fi
  }
  if :: !ok -> atomic { live = false; destroyed = true }; goto dead :: else fi;
  if :: skip :: goto dead fi;
  save(false, false, true, e, r);
#else
  save(false, false, true, e, r);
  if :: skip :: goto dead fi;
  atomic { if :: epoch == e -> member = true; ok = true :: else -> ok = false fi }
  if :: !ok -> atomic { live = false; destroyed = true }; goto dead :: else fi;
#endif
  if :: r == 1 -> atomic { bind_acked = true; shared = true } :: else -> skip fi;
dead: skip
}

/* two overlapping requests of the same browser, each setting its own key */
proctype ReqA() { byte r; (shared); save(true, false, false, 0, r); if :: r == 1 -> acka = true :: else fi }
proctype ReqB() { byte r; (shared); save(false, true, false, 0, r); if :: r == 1 -> ackb = true :: else fi }

proctype Logout() {
  (shared);
  live = false;                               /* delete */
  destroyed = true;                           /* acknowledged */
  member = false
}

proctype DestroyAll() {
  byte e; bool m; byte tries = 0;
again:
  tries++;
#ifdef CLEARFIRST
  atomic { epoch++; e = epoch; m = member; member = false }
#else
  atomic { epoch++; e = epoch; m = member }   /* fence: bump and snapshot in one step; nothing removed */
#endif
  if :: tries < 2 -> goto again :: skip fi;   /* crash + retry, or retry after a lost reply */
  if :: m -> live = false :: else fi;         /* delete of each member */
  if :: tries < 2 -> goto again :: skip fi;
  if :: m -> member = false :: else fi;
  fenced = e                                  /* acknowledged */
}

/* observer: one monitored atomic state predicate, evaluated in every reachable state */
proctype Monitor() {
end:
  do
  :: atomic { live && bound && bep < fenced -> assert(false) }                 /* P_I4: no live session with an epoch older than an acknowledged destroy_all */
  :: atomic { destroyed && live -> assert(false) }                             /* P_I1 */
  :: atomic { live && acka && !ka -> assert(false) }                           /* P_I3 */
  :: atomic { live && ackb && !kb -> assert(false) }
  :: atomic { live && bound && !member && fenced == 0 && !destroyed -> assert(false) }  /* J: bound => member (before any destroy_all is acknowledged) */
  od
}
init { atomic { run Login(); run ReqA(); run ReqB(); run Logout(); run DestroyAll(); run Monitor() } }
