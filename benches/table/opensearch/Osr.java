import org.codelibs.opensearch.runner.OpenSearchRunner;

import static org.codelibs.opensearch.runner.OpenSearchRunner.newConfigs;

/** One OpenSearch node on loopback until it is told to end: Osr FOLDER HTTP-PORT TRANSPORT-PORT. Used by opensearch_peer.py. */
public class Osr {
    public static void main(String[] arguments) throws Exception {
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> {
            settings.put("http.port", arguments[1]);
            settings.put("transport.port", arguments[2]);
            settings.put("network.host", "127.0.0.1");
            settings.put("discovery.type", "single-node");
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
            settings.put("http.max_content_length", "200mb");
        }).build(newConfigs().clusterName("bench").numOfNode(1).basePath(arguments[0]).useLogger());
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                runner.close();
            } catch (Exception error) {
                error.printStackTrace();
            }
        }));
        Thread.sleep(Long.MAX_VALUE);
    }
}
