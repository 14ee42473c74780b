import java.time.Instant;
import java.util.concurrent.CountDownLatch;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderLatchListener;
import org.apache.curator.retry.RetryForever;

/**
 * A contender with Curator's LeaderLatch: SERVERS PATH SESSION_TIMEOUT_MS NAME.
 *
 * <p>Prints an event, as a host would, when it waits, when it leads, and for each act of the leader. It asks the latch before each
 * act. At SIGTERM it closes the latch and ends.
 */
public final class Latch {
    private static synchronized void tell(String event) {
        System.out.println("{\"timestamp\":\"" + Instant.now() + "\",\"message\":\"" + event
                + "\",\"event\":\"" + event + "\"}");
        System.out.flush();
    }

    public static void main(String[] args) throws Exception {
        int timeout = Integer.parseInt(args[2]);
        CuratorFramework client =
                CuratorFrameworkFactory.newClient(args[0], timeout, timeout, new RetryForever(100));
        client.start();
        LeaderLatch latch = new LeaderLatch(client, args[1], args[3]);
        latch.addListener(new LeaderLatchListener() {
            @Override
            public void isLeader() {
                tell("leading");
            }

            @Override
            public void notLeader() {
                tell("demoted");
            }
        });
        CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                latch.close();
                client.close();
            } catch (Exception error) {
                error.printStackTrace();
            }
            closed.countDown();
        }));
        latch.start();
        while (latch.getParticipants().stream().noneMatch(it -> it.getId().equals(args[3]))) {
            Thread.sleep(10);
        }
        tell("waiting");
        while (closed.getCount() > 0) {
            if (latch.hasLeadership()) {
                tell("act");
            }
            Thread.sleep(10);
        }
    }
}
