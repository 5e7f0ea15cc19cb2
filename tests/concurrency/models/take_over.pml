/* take_over.pml: three requests with one old credential, against a logout (or a login, which moves the session) and revoke_all; any of them may crash anywhere.
 * default     : source read, claim read, session added that no list has, claim added if there is none, session listed, old record deleted, session served
 * -DCLAIMFIRST: the claim is read before the source                              -> P_SERVED must fail
 * -DLISTFIRST : the session is listed before its claim stands; one per user      -> P_SERVED must fail
 * -DDELFIRST  : the old record is deleted before the claim stands                -> P_CRASH must fail
 * -DSERVEFIRST: the session is served before it is listed                        -> P_ALL must fail
 * -DFORGET    : a logout deletes the claim as well; the source is a signed cookie, which nobody can delete (-DCOOKIE) -> P_END must fail
 * spin -a -DP_END take_over.pml && gcc -O2 -DSAFETY -o pan pan.c && ./pan -E     (P_CRASH, P_SERVED, P_ALL; each with -DCOOKIE, too)
 */
#define NONE 0
#define ADDED 1
#define LISTED 2
#define DEAD 3
bool old=true; byte claim=0; byte sess[4]; byte sep[4]; bool inlist[4]; bool pub[4];
byte epoch=1; byte fenced=0; bool ending=false; bool ended=false;
#ifdef P_SERVED
#define USERLOST assert(ending)                  /* nobody has ended anything, and the user is not logged in */
#else
#define USERLOST skip
#endif
inline crash() { if :: skip :: goto out fi }
inline list(k) {                                 /* with the epoch that was read; the others of the user make room for it */
  atomic { if :: epoch==e -> inlist[k]=true; ok=true :: else -> ok=false fi }
#ifdef LISTFIRST
  atomic { if :: ok -> for (j : 1 .. 3) { if :: j!=k && sess[j]==LISTED -> sess[j]=DEAD :: else fi } :: else fi }
#endif
}
proctype Take(byte i) { byte c=0; byte e=0; byte j=0; bool src=false; bool ok=false;
#ifdef CLAIMFIRST
  c = claim;
  src = old;
#else
  src = old;
  c = claim;
#endif
  if
  :: c==0 && !src -> USERLOST; goto out
  :: c==0 && src ->
#ifdef DELFIRST
     old=false;
#endif
     crash();
#ifdef LISTFIRST
     e=epoch;
     atomic { sess[i]=LISTED; sep[i]=e };
     list(i);
     if :: !ok -> sess[i]=DEAD; goto out :: else fi;
#else
     sess[i]=ADDED;
#endif
     crash();
     atomic { if :: claim==0 -> claim=i :: else fi; c=claim };
     if :: c!=i -> sess[i]=DEAD :: else fi
  :: else
  fi;
  crash();
#ifdef SERVEFIRST
  atomic { if :: sess[c]==ADDED -> pub[c]=true; sep[c]=epoch :: else fi };
#endif
  if :: sess[c]==ADDED ->
        e=epoch;
        list(c);
        if :: !ok -> sess[c]=DEAD :: else -> atomic { if :: sess[c]==ADDED -> sess[c]=LISTED; sep[c]=e :: else fi } fi
     :: else
  fi;
  crash();
#ifndef COOKIE
  if :: src -> old=false :: else fi;
#endif
  crash();
  atomic { if :: sess[c]==LISTED -> pub[c]=true :: else -> USERLOST fi };
out: skip }
proctype End() { byte c;                         /* a logout, or a login, of a session that was served */
  atomic { (pub[1] || pub[2] || pub[3]) -> if :: pub[1] -> c=1 :: pub[2] -> c=2 :: pub[3] -> c=3 fi };
  ending=true;
  sess[c]=DEAD;
#ifdef FORGET
  claim=0;
#endif
  ended=true }
proctype EndAll() { bool m[4]; byte e; byte j;
  atomic { ending=true; epoch++; e=epoch; for (j : 1 .. 3) { m[j]=inlist[j] } };
  for (j : 1 .. 3) { if :: m[j] -> sess[j]=DEAD :: else fi };
  fenced=e }
proctype Mon() { end: do
#ifdef P_END
 :: atomic { ended && (sess[1]==LISTED || sess[2]==LISTED || sess[3]==LISTED) -> assert(false) }
#endif
#ifdef P_ALL
 :: atomic { fenced>0 && ((pub[1] && sess[1]!=DEAD && sep[1]<fenced) || (pub[2] && sess[2]!=DEAD && sep[2]<fenced) || (pub[3] && sess[3]!=DEAD && sep[3]<fenced)) -> assert(false) }
#endif
#ifdef P_CRASH
 :: atomic { !ending && !old && (claim==0 || sess[claim]==DEAD || sess[claim]==NONE) -> assert(false) }
#endif
 :: false
 od }
init { atomic { run Take(1); run Take(2); run End();
#ifdef P_ALL
  run EndAll();                                  /* with two requests only: eight million states otherwise, and as right */
#else
  run Take(3);
#endif
  run Mon() } }
