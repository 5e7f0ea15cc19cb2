/* again.pml: the login form of a visitor's session S is sent several times with its old cookie (a double click, lost answers), while somebody who knows that cookie signs out with it; a request may crash anywhere.
 * a login    : if S lives, new record N added, then S swapped for a tombstone that leads to N; where S has moved, the session it led to is deleted if it was not presented (on the version that was read), then N is added, then the tombstone leads to N
 * -DSTAY      : the tombstone goes on to lead to the first one                    -> P_ONE must fail
 * -DBLIND     : what is deleted is not looked at again                             -> P_SEEN must fail
 * -DANYUSER   : a logout with the old cookie follows whoever is logged in          -> P_PLANTED must fail
 * spin -a -DP_ONE again.pml && gcc -O2 -DSAFETY -o pan pan.c && ./pan             (P_ONE with -DCALM: one after the other and no crash; P_SEEN; P_PLANTED)
 */
#define LOGINS 3
bool sl=true; byte to=0;              /* S lives; else the one its tombstone leads to, 0: none */
bool live[4]; bool seen[4];           /* seen: its cookie was presented, which is written */
byte replies=0; byte lastone=0; bool ended_by_stranger=false; bool ended_seen=false;
byte turn=1;
proctype Login(byte me){ byte first=0; bool moved=false; bool unseen=false;
#ifdef CALM
  turn==me;
#endif
  atomic{ if :: !sl && to==0 -> goto fresh :: !sl -> moved=true; first=to :: else fi }
  if :: moved -> goto again :: else fi;
fresh:
  live[me]=true;                                   /* nobody knows its cookie yet */
  if :: skip
#ifndef CALM
     :: goto out
#endif
  fi;
  atomic{ if :: sl -> sl=false; to=me; goto answer
             :: !sl && to==0 -> goto answer         /* S was ended: a login may begin */
             :: else -> live[me]=false; first=to fi }
again:
  atomic{ unseen = (live[first] && !seen[first]) }
#ifdef BLIND
  if :: unseen -> atomic{ if :: live[first] && seen[first] -> ended_seen=true :: else fi; live[first]=false } :: else fi;
#else
  if :: unseen -> atomic{ if :: live[first] && !seen[first] -> live[first]=false :: else fi } :: else fi;
#endif
  if :: skip
#ifndef CALM
     :: goto out
#endif
  fi;
  live[me]=true;
#ifndef STAY
  atomic{ if :: to==first -> to=me :: else fi };
#endif
answer:
  lastone=me; replies++;
out: turn=me+1 }
proctype Browser(byte n){                           /* an answer that came: its session is used */
  atomic{ if :: live[n] && lastone==n -> seen[n]=true :: else fi } }
proctype Stranger(){ byte f=0;                       /* destroy() with the old cookie */
  atomic{ if :: sl -> sl=false; goto out :: else -> f=to; to=0 fi }
#ifdef ANYUSER
  if :: f!=0 -> atomic{ if :: live[f] -> ended_by_stranger=true; live[f]=false :: else fi } :: else fi;
#endif
out: skip }
proctype Mon(){ end: do
#ifdef P_ONE
 :: atomic{ replies==LOGINS && (live[1]+live[2]+live[3])>1 -> assert(false) }   /* sessions that nobody has stay listed */
#endif
#ifdef P_SEEN
 :: atomic{ ended_seen -> assert(false) }            /* a session that its client uses ended by another try */
#endif
#ifdef P_PLANTED
 :: atomic{ ended_by_stranger -> assert(false) }     /* a cookie planted before a login ended it */
#endif
 od }
init{ atomic{ run Login(1); run Login(2); run Login(3);
#ifndef CALM
 run Browser(1); run Browser(2); run Stranger();
#endif
 run Mon() } }
