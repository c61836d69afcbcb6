// For each line of its input stores 100 keys, each in one attempt, and prints how many it could.
// Arguments: default or off, and host:port of each server.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.logging.Level;
import java.util.logging.Logger;
import net.spy.memcached.AddrUtil;
import net.spy.memcached.ConnectionFactoryBuilder;
import net.spy.memcached.FailureMode;
import net.spy.memcached.MemcachedClient;

public class Lost {
  public static void main(String[] args) throws Exception {
    System.setProperty("net.spy.log.LoggerImpl", "net.spy.memcached.compat.log.SunLogger");
    Logger.getLogger("net.spy.memcached").setLevel(Level.OFF);
    ConnectionFactoryBuilder builder = new ConnectionFactoryBuilder().setOpTimeout(10_000);
    if (args[0].equals("off")) {
      builder.setFailureMode(FailureMode.Cancel);
    }
    MemcachedClient client = new MemcachedClient(builder.build(), AddrUtil.getAddresses(Arrays.asList(args).subList(1, args.length)));
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    while (in.readLine() != null) {
      int stored = 0;
      for (int i = 0; i < 100; i++) {
        try {
          stored += client.set("key" + i, 0, "v").get() ? 1 : 0;
        } catch (Exception e) { // it counts as not stored
        }
      }
      System.out.println("stored " + stored);
    }
    client.shutdown();
  }
}
